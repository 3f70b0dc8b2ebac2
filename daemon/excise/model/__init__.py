"""The words of the house: frozen value types without behaviour that could surprise."""
