"""What the page shows of each kind of value: a file each, which makes a `Shown` of it."""
