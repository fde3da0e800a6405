"""The bundled plugins. They use lastcall's public API only and come in through the same door as everybody else's."""
