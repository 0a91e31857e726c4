"""A real S3 server for the sources and stores of the tests."""

from tests.s3.server import s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]
