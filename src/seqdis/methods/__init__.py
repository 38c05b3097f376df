"""Methods: one file is one entry, and its line here puts it on the shelf."""

from seqdis.methods.dbme import DBME
from seqdis.methods.dbse import DBSE
from seqdis.methods.glr import GLR
from seqdis.methods.rwae import RWAE
from seqdis.methods.skd import SKD
from seqdis.methods.spyl import SPYL
from seqdis.methods.vae import VAE

__all__ = ["DBME", "DBSE", "GLR", "RWAE", "SKD", "SPYL", "VAE"]
