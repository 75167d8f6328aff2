"""An ordinary py-libp2p peer on loopback, driven by a test: events go out as lines of JSON, commands come in as lines.

Events: listening {address}, connected {peer}, identified {agent, protocols, observed}, pinged {times},
message {author, text}, published {text}, failed {reason}. Commands: "publish TEXT". The end of standard input is the
end of the peer.
"""

import json
import sys

import multiaddr
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY, parse_identify_response
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import GossipSub, PROTOCOL_ID, PROTOCOL_ID_V11, PROTOCOL_ID_V12
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service

PINGS = 3


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


async def read_all(stream):
    data = b""
    try:
        while chunk := await stream.read():
            data += chunk
    except StreamEOF:
        pass
    return data


async def meet(host, address):
    """Dials, asks who is there, and pings."""
    info = info_from_p2p_addr(multiaddr.Multiaddr(address))
    await host.connect(info)
    tell("connected", peer=info.peer_id.to_string())
    stream = await host.new_stream(info.peer_id, [IDENTIFY])
    identity = parse_identify_response(await read_all(stream))
    tell(
        "identified",
        agent=identity.agent_version,
        protocols=list(identity.protocols),
        observed=str(multiaddr.Multiaddr(identity.observed_addr)),
    )
    tell("pinged", times=await PingService(host).ping(info.peer_id, ping_amt=PINGS))


async def receive(subscription):
    while True:
        message = await subscription.get()
        tell("message", author=ID(message.from_id).to_string(), text=message.data.decode())


async def run(topic, address):
    host = new_host(key_pair=create_new_key_pair())
    gossip = GossipSub(
        protocols=[PROTOCOL_ID_V12, PROTOCOL_ID_V11, PROTOCOL_ID],
        degree=3,
        degree_low=2,
        degree_high=4,
        heartbeat_interval=1,
    )
    pubsub = Pubsub(host, gossip)
    listen = [multiaddr.Multiaddr("/ip4/127.0.0.1/tcp/0")]
    async with host.run(listen_addrs=listen), trio.open_nursery() as nursery:
        async with background_trio_service(pubsub), background_trio_service(gossip):
            await pubsub.wait_until_ready()
            subscription = await pubsub.subscribe(topic)
            nursery.start_soon(receive, subscription)
            tell("listening", address=str(host.get_addrs()[0]))
            if address:
                await meet(host, address)
            commands = trio.wrap_file(sys.stdin)
            async for line in commands:
                text = line.rstrip("\n").removeprefix("publish ")
                while not pubsub.peer_topics.get(topic):
                    await trio.sleep(0.02)
                await pubsub.publish(topic, text.encode())
                tell("published", text=text)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    try:
        trio.run(run, sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    except BaseException as error:
        tell("failed", reason=repr(error))
        raise
