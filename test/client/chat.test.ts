import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Approval, Message } from '../../src/client/events.ts';
import {
  answerJson,
  beginStream,
  type Exchange,
  frame,
  MESSAGE,
  makeApproval,
  makeDetail,
  RUN,
  startScriptedServer,
  THREAD,
  TURN,
  turnFrames,
  USAGE,
} from './scripted-server.ts';

const PROGRAM = fileURLToPath(new URL('../../src/client/chat.ts', import.meta.url));
const CONVERSATION = `/api/v1/agent/conversations/${THREAD}`;
const QUESTION = '[a]pprove / [r]eject / [e]dit / [l]ater: ';
const USER_MESSAGE: Message = {
  id: 'user-1',
  thread_id: THREAD,
  turn_id: TURN,
  role: 'user',
  status: 'complete',
  content: 'launch it',
  parts: [],
  metadata: {},
  created_at: '',
};

/** The chat program as a child, driven by what it prints. */
function startChat(baseUrl: string, ...flags: string[]) {
  const child = spawn(process.execPath, [PROGRAM, ...flags], {
    env: { PATH: process.env.PATH, OVERTURE_URL: baseUrl, OVERTURE_TOKEN: 'secret' },
  });
  let output = '';
  let seenTo = 0;
  let wake = (): void => undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    wake();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    wake();
  });
  const exited = new Promise<number | null>((resolve) =>
    child.on('close', (code) => {
      resolve(code);
      wake();
    }),
  );
  return {
    /** Everything printed up to now. */
    output: () => output,
    /** Waits until this is printed behind what was waited for before; answers what was printed between. */
    async until(text: string): Promise<string> {
      for (;;) {
        const at = output.indexOf(text, seenTo);
        if (at !== -1) {
          const between = output.slice(seenTo, at);
          seenTo = at + text.length;
          return between;
        }
        if (child.exitCode !== null) throw new Error(`The program ended without "${text}":\n${output}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    type: (line: string) => child.stdin.write(`${line}\n`),
    interrupt: () => child.kill('SIGINT'),
    end: () => child.stdin.end(),
    exited,
    [Symbol.dispose]: () => {
      child.kill('SIGKILL');
    },
  };
}

function toolFrames(seq: number, id: string, name: string, args: Record<string, unknown>): string {
  const place = { message_id: MESSAGE, call: 1, part: 0, tool_call_id: id, name };
  return frame(seq, 'tool-start', place) + frame(seq + 1, 'tool-args', { ...place, args });
}

/** A turn that stops for these approvals, which wait until they are decided; then it says how it went on. */
function approvalScript(approvals: Approval[]) {
  const pending = new Map(approvals.map((approval) => [approval.approval_id, approval]));
  const decided: string[] = [];
  return async ({ method, url, body, headers, response }: Exchange): Promise<void> => {
    if (url === '/api/v1/agent/chat') {
      beginStream(response);
      response.write(turnFrames(['Let me ask.']).slice(0, -1).join(''));
      approvals.forEach((approval, index) => {
        response.write(toolFrames(10 + index * 2, approval.tool_call_id, approval.tool, approval.args));
      });
      approvals.forEach((approval, index) => {
        response.write(frame(20 + index, 'approval-request', { approval }));
      });
      response.end(frame(30, 'run-end', { status: 'awaiting_approval', message_id: MESSAGE, usage: USAGE }));
    } else if (url === `${CONVERSATION}/interrupt`) {
      const interrupts = [...pending.values()];
      const interrupt = interrupts[0] ?? null;
      answerJson(response, 200, { thread_id: THREAD, pending: interrupts.length > 0, interrupt, interrupts });
    } else if (url === CONVERSATION) {
      const messages: Message[] = [
        USER_MESSAGE,
        {
          ...USER_MESSAGE,
          id: MESSAGE,
          role: 'assistant',
          parts: approvals.map((approval) => ({ type: 'approval', call: 1, approval })),
        },
      ];
      const status = pending.size > 0 ? 'awaiting_approval' : 'idle';
      answerJson(response, 200, makeDetail({ status, last_seq: 30, messages }));
    } else if (url.endsWith('/preview')) {
      answerJson(response, 200, {
        args: { campaign_id: 'c-1', daily_limit: 20 },
        args_hash: 'hash-2',
        facts: [{ label: 'Recipients', value: '227' }],
      });
    } else if (url.endsWith('/decision')) {
      const id = url.split('/').at(-2) ?? '';
      if (!pending.delete(id)) {
        return answerJson(response, 409, { detail: 'ALREADY_DECIDED', message: 'Dana approved it.' });
      }
      decided.push(`${id} ${JSON.stringify(body)}`);
      answerJson(response, 202, {});
    } else if (method === 'GET' && url.startsWith(`${CONVERSATION}/stream`)) {
      expect(headers['last-event-id']).toBe('30');
      beginStream(response);
      const words = decided.map((each) => (each.includes('"reject"') ? 'rejected' : 'approved'));
      approvals.forEach((approval, index) => {
        const status = words[index] === 'rejected' ? 'rejected' : 'approved';
        response.write(frame(40 + index, 'approval-end', { approval_id: approval.approval_id, status }));
      });
      response.write(
        frame(50, 'run-start', { thread_id: THREAD, kind: 'resume', message_id: MESSAGE, model: 'm' }),
      );
      approvals.forEach((approval, index) => {
        const { tool_call_id } = approval;
        response.write(frame(60 + index, 'tool-end', { tool_call_id, status: 'ok', result: { sent: 228 } }));
      });
      response.write(
        turnFrames([`So they are ${words.join(' and ')}.`], 70)
          .slice(1)
          .join(''),
      );
    }
  };
}

describe('npm run chat', { timeout: 20_000 }, () => {
  it('streams an answer, shows a tool as one line, and names the conversation at the end', async () => {
    await using server = await startScriptedServer(({ body, response }) => {
      if (body === undefined) return answerJson(response, 200, { interrupts: [] });
      beginStream(response);
      const { client_message_id } = body as { client_message_id: string };
      const [start = '', ...rest] = turnFrames(['Twelve', ' leads', ' found.'], 10);
      response.write(frame(1, 'user-message', { message: USER_MESSAGE, client_message_id }));
      response.write(start + toolFrames(11, 'tool-1', 'find_leads', { query: 'CFO' }));
      response.write(frame(13, 'tool-end', { tool_call_id: 'tool-1', status: 'ok', result: { rows: 12 } }));
      response.end(rest.map((text, index) => text.replace(/^id: \d+/, `id: ${20 + index}`)).join(''));
    });
    using chat = startChat(server.baseUrl);
    await chat.until('you> ');
    chat.type('find CFOs');
    const before = await chat.until('· find_leads {"query":"CFO"} → ok: {"rows":12}\n');
    expect(before).toBe(`find CFOs\n(conversation ${THREAD})\n`);
    await chat.until('Twelve leads found.\n');
    await chat.until('you> ');
    chat.type('/quit');
    await chat.until(`--thread ${THREAD}`);
    expect(await chat.exited).toBe(0);
    expect(server.asked[0]).toMatchObject({
      url: '/api/v1/agent/chat',
      headers: { authorization: 'Bearer secret' },
      body: { message: 'find CFOs' },
    });
  });

  it('shows the card, approves with its hash, and tells what follows', async () => {
    await using server = await startScriptedServer(approvalScript([makeApproval()]));
    using chat = startChat(server.baseUrl);
    chat.type('launch it');
    await chat.until('Let me ask.');
    await chat.until('· needs your decision: Launch "Q4 Fintech CFO" to 228 leads');
    const card = await chat.until(QUESTION);
    expect(card).toContain('┌ Needs your decision: Launch "Q4 Fintech CFO" to 228 leads\n');
    expect(card).toContain('│ It sends mail.\n');
    expect(card).toContain('│ Recipients: 228\n');
    expect(card).toContain('│ ! high: The sender has no DMARC record.\n');
    expect(card).toContain('│   Subject: Hello Ines\n');
    expect(card).toContain('│   Dear Ines,\n│   short question.\n');
    expect(card).toContain('│ Consequence: Mails go out from tomorrow on; sent mails cannot be recalled.\n');
    expect(card).toContain('│ Expires: 2126-11-22T10:00:00.000Z (in ');
    chat.type('yes');
    await chat.until(QUESTION);
    chat.type('a');
    await chat.until('· approved: Launch "Q4 Fintech CFO" to 228 leads\n');
    await chat.until('· launch_campaign {"campaign_id":"c-1","daily_limit":50} → ok: {"sent":228}\n');
    await chat.until('So they are approved.');
    await chat.until('you> ');
    chat.end();
    expect(await chat.exited).toBe(0);
    expect(server.asked.filter((each) => each.url.endsWith('/decision'))).toMatchObject([
      {
        url: `${CONVERSATION}/approvals/approval-1/decision`,
        body: { decision: 'approve', args_hash: 'hash-1' },
      },
    ]);
  });

  it('asks for several approvals one after another, with a reason for a rejection', async () => {
    const approvals = [
      makeApproval(),
      makeApproval({
        approval_id: 'approval-2',
        tool_call_id: 'tool-2',
        title: 'Send to Ines',
        args_hash: 'hash-b',
      }),
    ];
    await using server = await startScriptedServer(approvalScript(approvals));
    using chat = startChat(server.baseUrl);
    chat.type('launch it');
    await chat.until(QUESTION);
    chat.type('a');
    expect(await chat.until(QUESTION)).toContain('┌ Needs your decision: Send to Ines\n');
    chat.type('r');
    await chat.until('Reason (may be empty): ');
    chat.type('wrong person');
    await chat.until('· rejected: Send to Ines\n');
    await chat.until('So they are approved and rejected.');
    await chat.until('you> ');
    expect(server.asked.filter((each) => each.url.endsWith('/decision'))).toMatchObject([
      { body: { decision: 'approve', args_hash: 'hash-1' } },
      { body: { decision: 'reject', args_hash: 'hash-b', reason: 'wrong person' } },
    ]);
  });

  it('shows the new facts of changed arguments before it approves them with the new hash', async () => {
    await using server = await startScriptedServer(approvalScript([makeApproval()]));
    using chat = startChat(server.baseUrl);
    chat.type('launch it');
    await chat.until(QUESTION);
    chat.type('e');
    expect(await chat.until('Field to change (empty: back): ')).toContain('  daily_limit = 50\n');
    chat.type('speed');
    await chat.until('There is no field "speed".');
    await chat.until('Field to change (empty: back): ');
    chat.type('daily_limit');
    await chat.until('New value of daily_limit, as JSON: ');
    chat.type('lots');
    await chat.until('That is not JSON; nothing was changed.');
    await chat.until('Field to change (empty: back): ');
    chat.type('daily_limit');
    await chat.until('New value of daily_limit, as JSON: ');
    chat.type('20');
    expect(await chat.until('[a]pprove as changed / [e]dit more / [b]ack: ')).toContain(
      '│ Recipients: 227\n',
    );
    chat.type('a');
    await chat.until('So they are approved.');
    const args = { campaign_id: 'c-1', daily_limit: 20 };
    expect(server.asked.filter((each) => /(preview|decision)$/.test(each.url))).toMatchObject([
      { url: `${CONVERSATION}/approvals/approval-1/preview`, body: { args } },
      { body: { decision: 'edit', args, args_hash: 'hash-2' } },
    ]);
  });

  it('shows history and pending approvals of a conversation that is opened again, and leaves one for later', async () => {
    await using server = await startScriptedServer(approvalScript([makeApproval()]));
    using chat = startChat(server.baseUrl, '--thread', THREAD);
    await chat.until(`(conversation ${THREAD}: Fintech)\n`);
    await chat.until('you> launch it\n');
    await chat.until('· pending: Launch "Q4 Fintech CFO" to 228 leads\n');
    await chat.until(QUESTION);
    chat.type('l');
    await chat.until('you> ');
    chat.type('/approvals');
    await chat.until(QUESTION);
    chat.type('a');
    await chat.until('So they are approved.');
    await chat.until('you> ');
    chat.end();
    expect(await chat.exited).toBe(0);
  });

  it('says so when somebody else decided first, and goes on', async () => {
    const script = approvalScript([makeApproval()]);
    let raced = false;
    await using server = await startScriptedServer(async (exchange) => {
      if (exchange.url.endsWith('/decision') && !raced) {
        raced = true;
        await fetch(`${server.baseUrl}${exchange.url}`, { method: 'POST', body: '{"decision":"approve"}' });
      }
      await script(exchange);
    });
    using chat = startChat(server.baseUrl, '--thread', THREAD);
    await chat.until(QUESTION);
    chat.type('a');
    await chat.until('! ALREADY_DECIDED: Dana approved it.\n');
    await chat.until('you> ');
  });

  it('offers to decide or to set aside what a new message meets', async () => {
    await using server = await startScriptedServer(({ url, body, response }) => {
      if (url.endsWith('/interrupt')) return answerJson(response, 200, { interrupts: [] });
      if (!JSON.stringify(body).includes('supersede')) {
        return answerJson(response, 409, { detail: 'APPROVAL_PENDING', message: 'Decide first.' });
      }
      beginStream(response);
      response.end(turnFrames(['Set aside.']).join(''));
    });
    using chat = startChat(server.baseUrl);
    chat.type('something else');
    await chat.until('! APPROVAL_PENDING: Decide first.\n');
    await chat.until('[d]ecide now / [s]et them aside and send / [n]either: ');
    chat.type('n');
    await chat.until('(your message was not sent)');
    chat.type('something else');
    await chat.until('[n]either: ');
    chat.type('s');
    await chat.until('Set aside.');
    const sent = server.asked.filter((each) => each.url === '/api/v1/agent/chat');
    expect(sent.at(-1)?.body).toMatchObject({ message: 'something else', on_pending: 'supersede' });
  });

  it('prints no control character and no direction mark that comes from the server', async () => {
    const evil = '\u001b]0;owned\u0007\u001b[2J\u009b31m\r\u202E\u2066evil\u0000\u0008';
    const approval = makeApproval({
      title: evil,
      reason: `${evil}\n└\nyou> `,
      facts: [{ label: evil, value: evil }],
      warnings: [{ code: 'X', message: evil, severity: 'low' }],
      preview: [{ from: evil, to: evil, subject: evil, body: evil }],
      consequence: evil,
      expires_at: evil,
      args: { [evil]: evil },
      tool: evil,
    });
    const script = approvalScript([approval]);
    await using server = await startScriptedServer((exchange) => {
      if (exchange.url !== '/api/v1/agent/chat') return script(exchange);
      if (JSON.stringify(exchange.body).includes('refuse')) {
        return answerJson(exchange.response, 422, { detail: evil, message: evil });
      }
      beginStream(exchange.response);
      // Each character of a sequence may come in a delta of its own.
      exchange.response.write(
        turnFrames([...evil, evil])
          .slice(0, -1)
          .join(''),
      );
      exchange.response.write(toolFrames(50, approval.tool_call_id, evil, { [evil]: evil }));
      const error = { code: evil, message: evil, retryable: false };
      exchange.response.write(
        frame(60, 'tool-end', { tool_call_id: approval.tool_call_id, status: 'error', error }) +
          frame(61, 'notice', { code: evil, message: evil }) +
          frame(62, 'tool-progress', { tool_call_id: 'tool-9', done: 1, total: 2, note: evil }) +
          frame(63, 'approval-request', { approval }),
      );
      exchange.response.end(
        frame(70, 'run-end', { status: 'failed', message_id: MESSAGE, usage: USAGE, error }),
      );
    });
    using chat = startChat(server.baseUrl);
    chat.type('hello');
    await chat.until(QUESTION);
    expect(chat.output()).toContain('│ └\n│ you>\n');
    chat.type('e');
    await chat.until('Field to change (empty: back): ');
    chat.type('');
    await chat.until(QUESTION);
    chat.type('l');
    chat.type('refuse');
    await chat.until('! ');
    chat.type('/quit');
    await chat.exited;
    expect(chat.output()).toContain('evil');
    expect(chat.output()).not.toMatch(/[^\P{Cc}\n\t]/u);
    expect(chat.output()).not.toMatch(/\p{Bidi_Control}/u);
  });

  it('cancels the turn on Ctrl-C and leaves on the second', async () => {
    let stream: Exchange | undefined;
    let turns = 0;
    await using server = await startScriptedServer((exchange) => {
      const { url, response } = exchange;
      if (url.endsWith('/interrupt')) return answerJson(response, 200, { interrupts: [] });
      if (url.endsWith('/cancel')) {
        stream?.response.end(
          frame(190, 'run-end', { status: 'cancelled', message_id: MESSAGE, usage: USAGE }),
        );
        return answerJson(response, 202, {});
      }
      stream = exchange;
      beginStream(response);
      turns += 1;
      response.write(
        turnFrames(['Let me think'], turns * 100)
          .slice(0, 3)
          .join(''),
      );
    });
    using chat = startChat(server.baseUrl);
    chat.type('think');
    await chat.until('Let me think');
    chat.interrupt();
    await chat.until('(cancelling; Ctrl-C again leaves)');
    await chat.until('(cancelled)');
    await chat.until('you> ');
    expect(server.asked.find((each) => each.url.endsWith('/cancel'))?.body).toEqual({ turn_id: TURN });
    chat.type('think');
    await chat.until('Let me think');
    stream = undefined;
    chat.interrupt();
    await chat.until('(cancelling; Ctrl-C again leaves)');
    chat.interrupt();
    expect(await chat.exited).toBe(130);
  });

  it('lists conversations, opens one by its number, begins a new one, and says what it knows', async () => {
    await using server = await startScriptedServer(({ url, response }) => {
      if (url.endsWith('/interrupt')) return answerJson(response, 200, { interrupts: [] });
      if (url === CONVERSATION) return answerJson(response, 200, makeDetail({ messages: [USER_MESSAGE] }));
      if (url.startsWith('/api/v1/agent/conversations')) {
        const conversations = [makeDetail(), makeDetail({ thread_id: 'other', title: null })];
        return answerJson(response, 200, { conversations, next_cursor: null, has_more: false });
      }
      answerJson(response, 404, { detail: 'NOT_FOUND', message: 'There is no such thing here.' });
    });
    using chat = startChat(server.baseUrl);
    chat.type('/list');
    await chat.until(`  1  ${THREAD}  idle  Fintech\n`);
    await chat.until('  2  other  idle  untitled\n');
    chat.type('/open 1');
    await chat.until('you> launch it\n');
    chat.type('hello');
    await chat.until('! NOT_FOUND: There is no such thing here.\n');
    chat.type('/new');
    await chat.until('(a new conversation)');
    chat.type('hello');
    await chat.until('! NOT_FOUND');
    chat.type('/what');
    await chat.until('/quit');
    chat.end();
    expect(await chat.exited).toBe(0);
    const sent = server.asked.filter((each) => each.url === '/api/v1/agent/chat');
    expect(sent.map((each) => each.body)).toMatchObject([{ thread_id: THREAD }, { message: 'hello' }]);
    expect(sent[1]?.body).not.toHaveProperty('thread_id');
    expect(chat.output()).not.toContain(RUN);
  });
});
