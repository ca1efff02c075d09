"""Fakes and contract suites for people who write their own encoder, loss, reader or index."""
