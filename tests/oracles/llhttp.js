// The readings of llhttp, the parser of Node: JSON lines in, JSON lines out. See readers.py for their form.
'use strict';

const { HTTPParser, methods } = require('_http_common');
const readline = require('readline');

const latin1 = (buffer) => buffer.toString('latin1');

function pairs(flat) {
  const list = [];
  for (let i = 0; i < flat.length; i += 2) list.push([flat[i].toLowerCase(), flat[i + 1]]);
  return list;
}

function read({ kind, asked, hex }) {
  const bytes = Buffer.from(hex, 'hex');
  const messages = [];
  let message = null;
  let ended = false;
  const begin = () => {
    message ??= { start: '', target: '', fields: [], body: '', trailers: [], hasHead: false };
  };

  const parser = new HTTPParser();
  // 0 for the size of a head, and no lenient flags.
  parser.initialize(kind === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {}, 1 << 20, 0);
  parser[HTTPParser.kOnMessageBegin | 0] = begin;
  parser[HTTPParser.kOnHeaders | 0] = (fields, url) => {
    begin();
    if (message.hasHead) message.trailers.push(...pairs(fields));
    else {
      message.fields.push(...pairs(fields));
      message.target += url;
    }
  };
  parser[HTTPParser.kOnHeadersComplete | 0] = (major, minor, fields, method, url, status, _reason, upgrade) => {
    begin();
    message.hasHead = true;
    message.start = kind === 'request' ? methods[method] : String(status);
    message.fields.push(...pairs(fields ?? []));
    message.target += url ?? '';
    if (kind === 'response' && asked === 'HEAD' && status >= 200) return 1;
    return 0;
  };
  parser[HTTPParser.kOnBody | 0] = (body, offset, length) => {
    message.body += latin1(offset === undefined ? body : body.subarray(offset, offset + length));
  };
  parser[HTTPParser.kOnMessageComplete | 0] = () => {
    const isFinal = kind === 'request' || !/^1(?!01)/.test(message.start);
    delete message.hasHead;
    if (!ended) messages.push(message);
    // One exchange: bytes after the final response are ignored.
    if (kind === 'response' && isFinal) ended = true;
    message = null;
  };

  const fails = (result) => result instanceof Error;
  let result = parser.execute(bytes);
  if (!fails(result) && !ended) {
    const finished = parser.finish();
    if (fails(finished)) return { messages, outcome: 'more', reason: finished.code };
  }
  if (ended) return { messages, outcome: 'done', reason: '' };
  if (fails(result)) return { messages, outcome: 'reject', reason: result.code };
  return { messages, outcome: message === null ? 'done' : 'more', reason: '' };
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const question = JSON.parse(line);
  process.stdout.write(`${JSON.stringify({ id: question.id, ...read(question) })}\n`);
});
