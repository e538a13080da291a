#!/usr/bin/python3
"""Prints a token for an hour, made from the module's connection string on standard input."""
import base64
import hashlib
import hmac
import sys
import time
from urllib.parse import quote

fields = dict(part.split("=", 1) for part in sys.stdin.read().strip().split(";"))
audience = quote("{HostName}/devices/{0}/modules/{1}".format(
    quote(fields["DeviceId"], safe=""), quote(fields["ModuleId"], safe=""), **fields), safe="")
expiry = int(time.time()) + 3600
key = base64.b64decode(fields["SharedAccessKey"])
digest = hmac.new(key, f"{audience}\n{expiry}".encode(), hashlib.sha256).digest()
print(f"SharedAccessSignature sr={audience}&sig={quote(base64.b64encode(digest), safe='')}&se={expiry}")
