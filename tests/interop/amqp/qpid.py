#!/usr/bin/python3
"""Checks of the simulator's AMQP head by Qpid Proton. README.md says what is in the environment."""
import json
import os
import sys
import threading
import time
import urllib.request
import uuid

from proton import ConnectionException, Delivery, Message, SSLDomain, int32, symbol
from proton.reactor import AtMostOnce, LinkOption
from proton.utils import BlockingConnection, LinkDetached, SendException

HOST, PORT, CA = os.environ["HUB_HOST"], os.environ["HUB_PORT"], os.environ["HUB_CA"]
TOKEN, DEVICE, MODULE = os.environ["HUB_TOKEN"], os.environ["HUB_DEVICE"], os.environ["HUB_MODULE"]
CONTROL = os.environ["HUB_CONTROL"]
BASE = f"/devices/{DEVICE}/modules/{MODULE}"
LIMIT = 60  # seconds for one operation

passed, failed = 0, 0


def check(name, body):
    global passed, failed
    try:
        body()
        passed += 1
        print(f"ok   proton: {name}", flush=True)
    except Exception as err:  # every failure is a result
        failed += 1
        print(f"FAIL proton: {name}: {type(err).__name__} {err}".replace("\n", " "), flush=True)


def http(method, path, body=None):
    request = urllib.request.Request(CONTROL + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=LIMIT) as response:
        return json.load(response)


class Correlated(LinkOption):
    """Link properties with a channel's correlation id."""

    def __init__(self, text):
        self.text = text

    def apply(self, link):
        link.properties = {symbol("com.microsoft:channel-correlation-id"): self.text,
                           symbol("com.microsoft:client-version"): "proton"}


class Client:
    """A connection that has put a token."""

    def __init__(self, token=TOKEN, sasl=False):
        domain = SSLDomain(SSLDomain.MODE_CLIENT)
        domain.set_trusted_ca_db(CA)
        domain.set_peer_authentication(SSLDomain.VERIFY_PEER)
        self.connection = BlockingConnection(f"amqps://{HOST}:{PORT}", timeout=LIMIT, ssl_domain=domain,
                                             sasl_enabled=sasl, allowed_mechs="ANONYMOUS" if sasl else None)
        self.ask = self.connection.create_sender("$cbs", name="cbs-in")
        self.answers = self.connection.create_receiver("$cbs", name="cbs-out")
        self.status = self.put(token)

    def put(self, token):
        request = str(uuid.uuid4())
        self.ask.send(Message(id=request, body=token, reply_to="cbs", properties={
            "operation": "put-token", "type": "azure-devices.net:sastoken", "name": "hub"}))
        reply = self.receive(self.answers)
        assert reply.correlation_id == request, reply
        return reply.properties["status-code"]

    def receive(self, link, answer=Delivery.ACCEPTED):
        message = link.receive(timeout=LIMIT)
        if link.fetcher.unsettled:
            link.settle(answer)
        return message

    def pair(self, node, channel):
        options = [Correlated(f"{channel}:{uuid.uuid4()}")]
        return (self.connection.create_sender(f"{BASE}/{node}", name=f"{channel}-in", options=[AtMostOnce()] + options),
                self.connection.create_receiver(f"{BASE}/{node}", name=f"{channel}-out", options=options))

    def events(self):
        return self.connection.create_sender(f"{BASE}/messages/events", name="events")

    def close(self):
        self.connection.close()


def data(body, **fields):
    message = Message(body=body.encode() if isinstance(body, str) else body, **fields)
    message.inferred = True  # bytes are a data section then
    return message


def reading(run, i):
    return data(json.dumps({"i": i}), id=f"{run}-{i}", content_type="application/json", content_encoding="utf-8",
                properties={"run": run, "iothub-outputname": "out"})


def stored(run, count):
    until = time.monotonic() + LIMIT
    while True:
        found = [m for m in http("GET", "/messages?limit=100000") if m["properties"].get("run") == run]
        if len(found) >= count or time.monotonic() > until:
            return found
        time.sleep(0.05)


def login_without_sasl():
    client = Client()
    assert client.status == 200, client.status
    remote = client.connection.conn
    assert remote.remote_container.startswith("DeviceGateway_"), remote.remote_container
    client.close()


def login_with_sasl():
    client = Client(sasl=True)
    assert client.status == 200, client.status
    client.close()


def wrong_tokens():
    client = Client("nonsense")
    assert client.status == 400, client.status
    try:
        client.events()
    except LinkDetached as err:
        assert err.condition == "amqp:not-allowed", err.condition
    else:
        raise AssertionError("the link is open without a token")
    assert client.put(TOKEN) == 200
    client.connection.create_sender(f"{BASE}/messages/events", name="again")
    client.close()


def telemetry():
    client, run = Client(), str(uuid.uuid4())
    events = client.events()
    assert events.link.credit > 0
    assert events.send(reading(run, 1)).remote_state == Delivery.ACCEPTED
    found, = stored(run, 1)
    assert found["body"] == {"i": 1} and found["output"] == "out" and found["module"] == MODULE, found
    client.close()


def sections():
    """Proton cannot set a message format, so these are the parts of one body."""
    client = Client()
    events = client.events()
    head = reading(str(uuid.uuid4()), 0).encode()
    part = b"\x00\x53\x75\xa0\x04more"
    delivery = events.link.delivery("sections")
    events.link.stream(head + part)
    events.link.advance()
    client.connection.wait(lambda: delivery.remote_state != 0, msg="waiting for the outcome")
    assert delivery.remote_state == Delivery.ACCEPTED, delivery.remote_state
    delivery.settle()
    client.close()


def too_large():
    client = Client()
    events = client.events()
    for size, condition in (((256 << 10) + 1, "amqp:link:message-size-exceeded"), (600 << 10, "amqp:not-allowed")):
        try:
            events.send(data(b"x" * size))
        except SendException as err:
            assert err.state == Delivery.REJECTED, err.state
        else:
            raise AssertionError(f"{size} bytes were accepted")
    client.close()


def twin():
    client, mark = Client(), str(uuid.uuid4())
    ask, answers = client.pair("twin", "twin")

    def request(operation, body):
        ident = str(uuid.uuid4())
        ask.send(data(body, correlation_id=ident, annotations={symbol("operation"): operation}))
        reply = client.receive(answers)
        assert reply.correlation_id == ident, reply
        return reply

    assert request("PATCH", json.dumps({"mark": mark})).annotations["status"] == 204
    assert request("PATCH", '{"a":[null]}').annotations["status"] == 400
    got = request("GET", " ")
    assert got.annotations["status"] == 200
    assert json.loads(bytes(got.body))["reported"]["mark"] == mark
    http("PATCH", f"/twins/{DEVICE}/modules/{MODULE}", {"properties": {"desired": {"mark": mark}}})
    patch = client.receive(answers)
    assert patch.correlation_id is None and json.loads(bytes(patch.body))["mark"] == mark, patch
    client.close()


def method():
    client = Client()
    respond, calls = client.pair("methods/devicebound", "methods")
    result = {}

    def call():
        result.update(http("POST", f"/twins/{DEVICE}/modules/{MODULE}/methods", {
            "methodName": "ping", "payload": {"n": 1}, "responseTimeoutInSeconds": 20, "connectTimeoutInSeconds": 20}))

    thread = threading.Thread(target=call)
    thread.start()
    message = client.receive(calls)
    assert message.properties["IoThub-methodname"] == "ping", message
    assert json.loads(bytes(message.body)) == {"n": 1}, message
    respond.send(data('{"pong":true}', correlation_id=uuid.UUID(message.correlation_id),
                      properties={"IoThub-status": int32(202)}))
    client.put(TOKEN)  # a settled message leaves with the next one that waits for an answer
    thread.join(LIMIT)
    assert result == {"status": 202, "payload": {"pong": True}}, result
    client.close()


def inputs():
    client = Client()
    link = client.connection.create_receiver(f"{BASE}/messages/events", name="inputs", credit=10)
    for i in range(3):
        http("POST", f"/inputs/{MODULE}/commands", {"i": i})
    for i in range(3):
        message = client.receive(link, Delivery.RELEASED if i == 1 else Delivery.ACCEPTED)
        assert message.annotations["x-opt-input-name"] == "commands", message
        assert json.loads(bytes(message.body)) == {"i": i}, message
    client.close()


def login_plain():
    hub = TOKEN.split("sr=")[1].split(".")[0]
    domain = SSLDomain(SSLDomain.MODE_CLIENT)
    domain.set_trusted_ca_db(CA)
    domain.set_peer_authentication(SSLDomain.VERIFY_PEER)

    def dial(user, token):
        return BlockingConnection(f"amqps://{HOST}:{PORT}", timeout=LIMIT, ssl_domain=domain, user=user, password=token,
                                  allowed_mechs="PLAIN")

    connection = dial(f"{DEVICE}/modules/{MODULE}@sas.{hub}", TOKEN)
    connection.create_sender(f"{BASE}/messages/events", name="events").send(Message(body=b"x", inferred=True))
    try:
        connection.create_sender("$cbs", name="cbs")
    except LinkDetached as refused:
        assert "not-allowed" in str(refused), refused
    else:
        raise AssertionError("there is a $cbs")
    connection.close()
    for user, token in ((f"{DEVICE}/modules/{MODULE}@sas.other", TOKEN), (f"{DEVICE}/modules/{MODULE}@sas.{hub}", TOKEN + "x")):
        try:
            dial(user, token)
        except ConnectionException as refused:
            assert "auth" in str(refused).lower(), refused
        else:
            raise AssertionError(f"{user} was let in")


def main():
    check("without SASL: put-token is answered with 200", login_without_sasl)
    check("SASL ANONYMOUS is taken", login_with_sasl)
    check("SASL PLAIN with a token is one identity without $cbs", login_plain)
    check("nonsense for a token is 400 and opens no link; a good one mends it", wrong_tokens)
    check("a message is accepted and stored", telemetry)
    check("several data sections without the batch format are one body", sections)
    check("messages over the limits are rejected", too_large)
    check("twin: patch, refused patch, get, desired", twin)
    check("a method goes there and back, its id as a UUID", method)
    check("input messages come in order; a released one is dropped", inputs)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
