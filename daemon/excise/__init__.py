"""excise: finds and stops the harvesting of a language model, from request metadata alone."""

__version__ = "0.1.0"
