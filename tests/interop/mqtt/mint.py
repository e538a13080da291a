#!/usr/bin/python3
"""Prints a token for an hour, made from the connection string of a module or device on standard input."""
import base64
import hashlib
import hmac
import sys
import time
from urllib.parse import quote

fields = dict(part.split("=", 1) for part in sys.stdin.read().strip().split(";"))
audience = "{}/devices/{}".format(fields["HostName"], quote(fields["DeviceId"], safe=""))
if "ModuleId" in fields:
    audience += "/modules/" + quote(fields["ModuleId"], safe="")
audience = quote(audience, safe="")
expiry = int(time.time()) + 3600
key = base64.b64decode(fields["SharedAccessKey"])
digest = hmac.new(key, f"{audience}\n{expiry}".encode(), hashlib.sha256).digest()
print(f"SharedAccessSignature sr={audience}&sig={quote(base64.b64encode(digest), safe='')}&se={expiry}")
