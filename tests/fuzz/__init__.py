"""Every entrance under random and mutated input; an input is made from its number, and so made again."""
