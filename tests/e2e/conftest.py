from tests.s3.server import s3_server

__all__ = ["s3_server"]
