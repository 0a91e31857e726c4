"""The S3 server for tests of blocks."""

from tests.s3.server import s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]
