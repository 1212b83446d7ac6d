"""Making samples: haystacks, needles, and how long they are."""
