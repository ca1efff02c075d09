"""Where items come from, what says which are alike, and how they are split."""
