"""Methods: one file is one entry, and its line here puts it on the shelf."""

from seqdis.methods.dbme import DBME
from seqdis.methods.dbse import DBSE

__all__ = ["DBME", "DBSE"]
