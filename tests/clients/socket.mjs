// A WebSocket over HTTP/2 (RFC 8441) by Node's own HTTP/2: `client URL CA` talks to an echo, `server` is one.
import fs from "node:fs";
import http2 from "node:http2";

const [CLOSE, PING, PONG] = [8, 9, 10];

// A frame of fewer than 126 bytes, with a mask if it is a client's.
function frame(kind, data, isMasked) {
    const mask = isMasked ? Buffer.from([1, 2, 3, 4]) : Buffer.alloc(0);
    const body = Buffer.from(data.map((byte, at) => (isMasked ? byte ^ mask[at % 4] : byte)));
    return Buffer.concat([Buffer.from([0x80 | kind, (isMasked ? 0x80 : 0) | data.length]), mask, body]);
}

// Hands each frame that comes to `take`.
function frames(stream, take) {
    let got = Buffer.alloc(0);
    stream.on("data", (data) => {
        got = Buffer.concat([got, data]);
        while (got.length >= 2) {
            const [length, head] = [got[1] & 0x7f, got[1] & 0x80 ? 6 : 2];
            if (got.length < head + length) return;
            const mask = got.subarray(2, head);
            const body = got.subarray(head, head + length);
            take(got[0] & 0x0f, Buffer.from(body.map((byte, at) => (mask.length ? byte ^ mask[at % 4] : byte))));
            got = got.subarray(head + length);
        }
    });
}

function fail(why) {
    console.error(why);
    process.exit(1);
}

function client(url, ca) {
    // An older Node takes the first address of `localhost` alone, which may be ::1.
    const session = http2.connect(url.replace(/^ws/, "http"), { family: 4, ca: ca && fs.readFileSync(ca) });
    session.on("error", (error) => fail(`session: ${error}`));
    session.once("remoteSettings", (settings) => {
        if (!settings.enableConnectProtocol) fail("extended CONNECT is not announced");
        const stream = session.request({
            ":method": "CONNECT", ":protocol": "websocket", ":path": new URL(url).pathname,
            "sec-websocket-version": "13", "sec-websocket-protocol": "chat.v1",
        });
        stream.on("error", (error) => fail(`stream: ${error}`));
        stream.on("response", (head) => {
            if (head[":status"] !== 200) fail(`status ${head[":status"]}`);
            if (head["sec-websocket-protocol"] !== "chat.v1") fail("another subprotocol");
            if ("sec-websocket-accept" in head) fail("an answer to a key that was not sent");
            stream.write(frame(1, Buffer.from("hello"), true));
        });
        frames(stream, (kind, data) => {
            if (kind === CLOSE) {
                console.log(`closed ${data.readUInt16BE(0)}`);
                stream.end();
            } else {
                console.log(data.toString());
                stream.write(frame(CLOSE, Buffer.from([0x0f, 0xa2]), true));
            }
        });
        stream.on("end", () => session.close());
    });
}

function server() {
    const server = http2.createServer({ settings: { enableConnectProtocol: true } });
    server.on("stream", (stream, head) => {
        if (head[":method"] !== "CONNECT" || head[":protocol"] !== "websocket") {
            stream.respond({ ":status": 400 }, { endStream: true });
            return;
        }
        stream.respond({ ":status": 200, "sec-websocket-protocol": "chat.v1" });
        frames(stream, (kind, data) => {
            stream.write(frame(kind === PING ? PONG : kind, data, false));
            if (kind === CLOSE) stream.end();
        });
    });
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));
    process.stdin.on("end", () => process.exit(0)).resume();
}

if (process.argv[2] === "server") server();
else client(process.argv[3], process.argv[4]);
