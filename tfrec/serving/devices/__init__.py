"""Exports for devices: LiteRT programs, and the tables that an app needs beside them."""
