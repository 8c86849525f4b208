// A server that closes idle connections soon: `idle_server.js PORT`. GET says how often each POST was executed.
const executed = new Map();
const server = require("http").createServer((request, response) => {
  request.resume().on("end", () => {
    if (request.method === "POST") {
      executed.set(request.url, (executed.get(request.url) || 0) + 1);
      return response.end("{}");
    }
    response.end(JSON.stringify({ paths: executed.size, most: Math.max(0, ...executed.values()) }));
  });
});
server.keepAliveTimeout = 1000;
server.listen(Number(process.argv[2]), "127.0.0.1", 1024);
