"""The commands of the room, one file each."""

from interpret.commands.parser import parser

__all__ = ["parser"]
