"""The codec of docs/codecs/rpc.md in Python: the Brook water meter, served on the port of 127.0.0.1 that is printed."""

import asyncio
import struct

import grpc

from kits.rpc.codecv1 import codec_pb2 as pb
from kits.rpc.codecv1 import codec_pb2_grpc as service

FRAMING = '{"type": "length", "prefix": "b7", "size": 1, "adjustment": 1, "strip": true}'
Failure = pb.Failure


def answer(*body):
    return bytes([0xB7, len(body), *body, sum(body) & 0xFF])


class Meter:
    """The state of one connection."""

    def __init__(self):
        self.known = False

    def receive(self, frame):
        body = frame.data[:-1]
        if not body or sum(body) & 0xFF != frame.data[-1]:
            return pb.Answer(failure=Failure(kind=Failure.MALFORMED, text="checksum"))
        out = pb.Outcome()
        if body[:1] == b"H" and len(body) == 9:
            self.known = True
            out.identity.device = body[1:].decode("ascii", "replace")
            out.identity.accept = answer(ord("A"))
            out.identity.refuse = answer(ord("N"))
        elif body[:1] == b"R" and len(body) == 8 and self.known:
            litres, battery = struct.unpack(">IB", body[3:])
            out.messages.add(
                content_type="application/json", content_encoding="utf-8",
                body=b'{"litres":%d,"battery":%d}' % (litres, battery))
            out.ack = answer(ord("A"), body[1], body[2])
        elif body[:1] == b"R":
            text = "a reading before hello, or of the wrong length"
            return pb.Answer(failure=Failure(kind=Failure.PROTOCOL, text=text))
        else:
            return pb.Answer(failure=Failure(kind=Failure.MALFORMED, text="type %r" % chr(body[0])))
        return pb.Answer(outcome=out)


class Codec(service.CodecServicer):
    async def Dialogue(self, steps, context):
        meter = Meter()
        async for step in steps:
            kind = step.WhichOneof("kind")
            if kind == "begin":
                yield pb.Answer(manifest=pb.Manifest(framing=FRAMING))
            elif kind == "receive":
                yield meter.receive(step.receive)
            else:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not in the manifest: %s" % kind)


async def main():
    server = grpc.aio.server()
    service.add_CodecServicer_to_server(Codec(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
