"""The shelf of methods: one file each, none importing another."""

from seqdis.methods.dbse import DBSE

__all__ = ["DBSE"]
