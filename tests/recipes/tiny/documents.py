"""Prose to make the embedded model from in miniature."""

DOCUMENTS = [[f"Paragraph {k} of document {d} says\nthat nothing follows." for k in range(40)] for d in range(4)]
# Its words become tokens, so that facts are as short as with the real tokenizer.
DOCUMENTS.append(["What is the code of this? The code of that is not known. Codes: Again:"] * 20)
