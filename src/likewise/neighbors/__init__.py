"""Who is near, now, in memory."""
