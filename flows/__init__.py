"""Prefect flows: order, retries and places, and no logic.

The settings below hold wherever a flow is imported, unless the environment says otherwise: nothing
is sent anywhere, and the stages' log goes where Prefect's goes.
"""

import logging
import os

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "resenha")
os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
logging.getLogger("resenha").setLevel(logging.INFO)
