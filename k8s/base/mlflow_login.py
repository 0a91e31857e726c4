"""Gives MLflow's administrator, and the login of the jobs, the passwords of the secrets."""

import os

from mlflow.server.auth.config import read_auth_config
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

settings = read_auth_config()
store = SqlAlchemyStore()
store.init_db(settings.database_uri)
logins = {
    settings.admin_username: (settings.admin_password, True),
    os.environ["MLFLOW_TRACKING_USERNAME"]: (os.environ["MLFLOW_TRACKING_PASSWORD"], False),
}
for name, (password, administrator) in logins.items():
    if not store.has_user(name):
        store.create_user(name, password, is_admin=administrator)
    elif not store.authenticate_user(name, password):
        store.update_user(name, password)
