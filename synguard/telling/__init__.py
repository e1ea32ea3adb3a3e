"""How alerts and figures are told to people: words, sentences and reasons, whoever prints them."""
