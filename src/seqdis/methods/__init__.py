"""Methods: one file is one entry, and its line here puts it on the shelf."""

from seqdis.methods.cdsvae import CDSVAE
from seqdis.methods.dbme import DBME
from seqdis.methods.dbse import DBSE
from seqdis.methods.dsvae import DSVAE
from seqdis.methods.fhvae import FHVAE
from seqdis.methods.glr import GLR
from seqdis.methods.gpvae import GPVAE
from seqdis.methods.mocogan import MoCoGAN
from seqdis.methods.rwae import RWAE
from seqdis.methods.s3vae import S3VAE
from seqdis.methods.skd import SKD
from seqdis.methods.spyl import SPYL
from seqdis.methods.vae import VAE

__all__ = ["CDSVAE", "DBME", "DBSE", "DSVAE", "FHVAE", "GLR", "GPVAE", "RWAE", "S3VAE", "SKD", "SPYL", "VAE", "MoCoGAN"]
