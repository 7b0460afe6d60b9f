/** People, models, leads and files whose words look like an event stream, at the stream of each door. */

import fc from 'fast-check';
import { afterAll, beforeAll } from 'vitest';
import { z } from 'zod';
import { type Dispatched, readByParser, readByStandard } from '../support/event-stream.ts';
import { hostileText, kept, keptLine, longLine } from '../support/hostile-text.ts';
import { createLocalPerson, type Person } from '../support/people.ts';
import { proves } from '../support/proves.ts';
import { openStage, type Stage } from '../support/stage.ts';

/** How one door says a message, and how what it tells is read. */
interface Door {
  name: string;
  /** The request that begins a turn and streams it until a person is asked; `name` is the thread's, as its client calls it. */
  speak(name: string, message: string): Promise<string>;
  /** The whole of it told again, as to a page that is opened anew. */
  again(name: string, threadId: string): Promise<string>;
  /** The text of the model among the frames of `speak`. */
  textOf(frames: readonly Dispatched[]): string;
}

const MODES = ['values', 'updates', 'messages-tuple', 'messages', 'custom'];
const CHANNELS = ['values', 'messages', 'tools', 'lifecycle', 'custom', 'input', 'checkpoints'];
/** Room for the looks of it, below what a message, a subject and a field of a lead may hold. */
const LONGEST = 150;

/** Declares the row: so many turns at each door. */
export function provesFraming({ turns }: { turns: number }): void {
  let stage: Stage;
  let ada: Person;
  let url: string;
  beforeAll(async () => {
    stage = await openStage();
    ({ url } = await stage.start());
    ada = createLocalPerson(url);
  });
  afterAll(() => stage.close());

  async function post(path: string, body: unknown): Promise<string> {
    const answer = await ada.ask('POST', path, { body, headers: { accept: 'text/event-stream' } });
    if (answer.status !== 200) throw new Error(`${path} answered ${answer.status} ${answer.text}`);
    return answer.text;
  }
  const get = async (path: string) => (await ada.ask('GET', path)).text;
  const stories = '/api/v1/agent/langgraph/threads';

  const doors: Door[] = [
    {
      name: 'native',
      async speak(_name, message) {
        const page_context = { [message.slice(0, 20).toWellFormed()]: message };
        return post('/api/v1/agent/chat', { message, page_context, client_message_id: keptLine(message) });
      },
      again: (_name, threadId) => get(`/api/v1/agent/conversations/${threadId}/stream?after=0&until=idle`),
      textOf: (frames) =>
        pieces(
          frames.filter(({ event }) => event === 'text-delta'),
          z.object({ delta: z.string() }).transform(({ delta }) => delta),
        ),
    },
    {
      name: 'AG-UI',
      speak: (name, content) =>
        post('/api/v1/agent/ag-ui', {
          threadId: name,
          runId: keptLine(`run ${content}`),
          protocolVersion: '1.0',
          messages: [{ id: keptLine(`message ${content}`), role: 'user', content }],
        }),
      again: (name) => post('/api/v1/agent/ag-ui', { threadId: name, runId: 'again', messages: [] }),
      textOf: (frames) =>
        pieces(
          frames,
          z
            .object({ type: z.literal('TEXT_MESSAGE_CONTENT'), delta: z.string() })
            .transform(({ delta }) => delta),
        ),
    },
    {
      name: 'AI SDK',
      speak: (name, text) =>
        post('/api/v1/agent/ai-sdk', {
          id: name,
          messages: [{ id: keptLine(`message ${text}`), role: 'user', parts: [{ type: 'text', text }] }],
        }),
      // The same message once more, from a client that lost the answer.
      again: async (name) => {
        const messages = JSON.parse(await get(`/api/v1/agent/ai-sdk/${encodeURIComponent(name)}/messages`));
        const said = messages.messages.filter(({ role }: { role: string }) => role === 'user');
        return post('/api/v1/agent/ai-sdk', { id: name, messages: said });
      },
      textOf: (frames) =>
        pieces(
          frames,
          z.object({ type: z.literal('text-delta'), delta: z.string() }).transform(({ delta }) => delta),
        ),
    },
    {
      name: 'LangGraph, its first protocol',
      speak: (name, content) =>
        post(`${stories}/${encodeURIComponent(name)}/runs/stream`, {
          assistant_id: 'agent',
          if_not_exists: 'create',
          input: { messages: [{ role: 'user', id: keptLine(`message ${content}`), content }] },
          stream_mode: MODES,
        }),
      async again(name) {
        const path = `${stories}/${encodeURIComponent(name)}/runs`;
        const [run] = JSON.parse(await get(path)) as { run_id: string }[];
        return get(`${path}/${run?.run_id}/stream`);
      },
      textOf: (frames) =>
        pieces(
          frames.filter(({ event }) => event === 'messages'),
          z
            .tuple([z.object({ type: z.literal('AIMessageChunk'), content: z.string() })], z.unknown())
            .transform(([{ content }]) => content),
        ),
    },
    {
      name: 'LangGraph, its second protocol',
      async speak(name, content) {
        const path = `${stories}/${encodeURIComponent(name)}`;
        const begun = await post(`${path}/commands`, {
          id: 1,
          method: 'run.start',
          params: { assistant_id: 'agent', input: { messages: [{ role: 'user', content }] } },
        });
        if (JSON.parse(begun).type !== 'success') throw new Error(begun);
        return untilSettled(`${path}/stream/events`);
      },
      again: (name) => untilSettled(`${stories}/${encodeURIComponent(name)}/stream/events`),
      // Text comes in pieces, or whole with its end where it came before the reader.
      textOf: (frames) =>
        pieces(
          frames,
          z
            .object({
              params: z.object({
                data: z.object({
                  event: z.literal('content-block-finish'),
                  content: z.object({ type: z.literal('text'), text: z.string() }),
                }),
              }),
            })
            .transform(({ params }) => params.data.content.text),
        ),
    },
  ];

  /** Its stream has no end: it is left when the run has one. */
  async function untilSettled(path: string): Promise<string> {
    const leave = new AbortController();
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-overture-client': 'test' },
      body: JSON.stringify({ channels: CHANNELS }),
      signal: leave.signal,
    });
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (/"event":"(completed|interrupted|failed)"/.test(text) && text.endsWith('\n\n')) break;
    }
    leave.abort();
    return text;
  }

  const texts = fc.sample(hostileText, { seed: 20261128, numRuns: turns * doors.length });

  proves(
    'P7',
    'words that look like frames, in every field, at each door: two readers get the same events and the same text',
    turns * doors.length,
    async (tally) => {
      const tries = texts.map((words, index) => ({
        words,
        door: doors[index % doors.length] as Door,
        index,
      }));
      await tally.each(tries, 1, ({ words, door, index }) => attempt(door, words, index));
    },
  );

  async function attempt(door: Door, words: string, index: number): Promise<string[]> {
    const said = kept(words).slice(0, LONGEST).toWellFormed();
    const line = keptLine(words).slice(0, LONGEST).toWellFormed();
    const form = new FormData();
    const cell = `"${said.replaceAll('"', '""')}"`;
    const rows = `email,first_name,company\nlead${index}@a.example,${cell},${cell}\n`;
    form.append('file', new Blob([rows]), `${line}.csv`);
    const { dataset_id } = (await ada.ask('POST', '/api/v1/datasets/import', { body: form })).json ?? {};
    const [lead] = await stage.database.query<{ id: string }>('select id from leads where dataset_id = $1', [
      dataset_id,
    ]);
    // One in a few is a line without an end.
    const spoken = index % 4 === 0 ? `${words}${longLine}` : words;
    const cuts = [...spoken.slice(0, 60)];
    stage.model.script(
      {
        reasoning: [words, '\r', '\n', 'data: x'],
        text: [...cuts, spoken.slice(60), '\r', '\nevent: forged\n\n'],
        toolCalls: [
          { name: 'search_leads', args: { query: line } },
          { name: 'list_datasets', args: {} },
          // A call without a name at all is refused, whatever else it holds.
          { name: `${words}.`, args: { [words]: words } },
          { name: 'get_credit_balance', argsText: `{"x":"${words}` },
          {
            name: 'send_email',
            args: { lead_id: lead?.id, subject: `About ${line}.`, body: `Hello ${said} and so on` },
          },
        ],
        finishReason: 'tool_calls',
      },
      { text: [words, '.'], fault: 'error-event', error: { message: words } },
    );
    const name = `thread ${index} ${line}`.slice(0, 190).toWellFormed();
    const told = await door.speak(name, `${said} ${index}`);
    const { cards, threadId } = await cardOf(`Hello ${said} and so on`);
    const faults = framesFaults(told, spoken.length);
    const frames = readByStandard(told);
    const whole = `${kept(`${spoken}\r\nevent: forged\n\n`)}`;
    if (door.textOf(frames) !== whole)
      faults.push(`the text is ${JSON.stringify(door.textOf(frames).slice(0, 300))}`);
    if (!frames.some(({ data }) => holds(data, `Hello ${said} and so on`)))
      faults.push('the card is not told as it is');
    await ada.ask('PATCH', `/api/v1/agent/conversations/${threadId}`, { body: { title: line } });
    const again = await door.again(name, threadId);
    faults.push(...framesFaults(again, 7).map((fault) => `told again: ${fault}`));
    const decisions = cards.map(({ approval_id, args_hash }) => ({
      approval_id,
      args_hash,
      decision: 'reject',
      reason: said,
    }));
    const end = await post('/api/v1/agent/chat', { thread_id: threadId, resume: { decisions } });
    faults.push(...framesFaults(end, 31).map((fault) => `at the end: ${fault}`));
    if (!readByStandard(end).some(({ event, data }) => event === 'approval-end' && holds(data, said)))
      faults.push('the reason of the decision is not told as it is');
    faults.push(...framesFaults(await door.again(name, threadId), 5).map((fault) => `afterwards: ${fault}`));
    faults.push(...(await mcpFaults(line)));
    return faults.map((fault) => `${door.name}, ${JSON.stringify(words)}: ${fault}`);
  }

  /** The card whose mail has this body. */
  async function cardOf(body: string) {
    const { approvals } = await ada.get('/api/v1/agent/approvals?status=pending');
    const cards = approvals as {
      approval_id: string;
      args_hash: string;
      thread_id: string;
      args: { body: string };
    }[];
    const threadId = cards.find(({ args }) => args.body === body)?.thread_id;
    if (threadId === undefined) throw new Error(`no card has the body ${JSON.stringify(body)}`);
    return { threadId, cards: cards.filter(({ thread_id }) => thread_id === threadId) };
  }

  /** MCP's answers are JSON here: the words of leads and files stand in them twice, and alike. */
  async function mcpFaults(query: string): Promise<string[]> {
    const calls = [{ query }, {}].map((args) => ({ name: 'search_leads', arguments: args }));
    const body = [...calls, { name: 'list_datasets', arguments: {} }].map((params, id) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params,
    }));
    const answer = await ada.ask('POST', '/mcp', {
      body,
      headers: { accept: 'application/json, text/event-stream' },
    });
    if (answer.status !== 200) return [`MCP answered ${answer.status} ${answer.text}`];
    const results = mcpAnswers.parse(answer.json);
    const alike = results.every(
      ({ result }) => result.content[0]?.text === JSON.stringify(result.structuredContent),
    );
    return alike && results.length === body.length ? [] : [`MCP answered ${answer.text.slice(0, 300)}`];
  }
}

const mcpAnswers = z.array(
  z.object({
    result: z.object({ content: z.array(z.object({ text: z.string() })), structuredContent: z.unknown() }),
  }),
);

/** Texts of the frames that fit, one after the other. */
function pieces(frames: readonly Dispatched[], text: z.ZodType<string>): string {
  return frames
    .filter(({ data }) => data !== '[DONE]')
    .map(({ data }) => text.safeParse(JSON.parse(data)).data ?? '')
    .join('');
}

/** Whether a string of the JSON holds these words, or is JSON that does. */
function holds(data: string, words: string): boolean {
  if (data === '[DONE]') return false;
  const look = (value: unknown): boolean => {
    if (typeof value === 'string') return value.includes(words);
    if (typeof value !== 'object' || value === null) return false;
    return Object.values(value).some(look);
  };
  return look(JSON.parse(data));
}

/** What is wrong with a stream's frames, apart from what they say. */
function framesFaults(text: string, step: number): string[] {
  const faults: string[] = [];
  if (/[\r\0]/.test(text)) faults.push('a line end or a NUL that is not ours');
  const cuts = Array.from({ length: 400 }, (_, index) => (index + 1) * step);
  const [standard, parser] = [readByStandard(text), readByParser(text, cuts)];
  if (JSON.stringify(standard) !== JSON.stringify(parser)) faults.push('two readers get other events');
  if (standard.length === 0) faults.push('nothing was told');
  // Each of our frames has its data on one line, so their number is that of the lines.
  if (text.split('\n').filter((one) => one.startsWith('data: ')).length !== standard.length)
    faults.push('there are more lines of data than events');
  for (const { id, event, data } of standard) {
    if (id !== undefined && !/^\d{1,6}$/.test(id)) faults.push(`an id is ${JSON.stringify(id)}`);
    if (id === '999999') faults.push('a forged id');
    if (event !== undefined && (event === 'forged' || !/^[a-z][a-z/.-]*$/.test(event)))
      faults.push(`an event is ${JSON.stringify(event)}`);
    if (data !== '[DONE]' && typeof JSON.parse(data) !== 'object')
      faults.push(`data is ${data.slice(0, 100)}`);
  }
  return faults;
}
