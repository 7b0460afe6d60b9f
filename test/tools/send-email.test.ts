import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database, WorkspaceTransaction } from '../../src/db/database.ts';
import { createLeads } from '../../src/resources/leads/leads.ts';
import { createSandboxMailer, createSmtpMailer, type Mailer } from '../../src/resources/outbox/mailer.ts';
import { createOutbox, type Outbox } from '../../src/resources/outbox/outbox.ts';
import { createSenderProfiles } from '../../src/resources/sender-profiles/sender-profiles.ts';
import { createSuppression } from '../../src/resources/suppression/suppression.ts';
import type { Caller } from '../../src/runtime/caller.ts';
import { createSendEmailTool } from '../../src/tools/send-email.ts';
import type { ExecuteContext, OutsideTool, Proposal, Tool } from '../../src/tools/tool.ts';
import { type HttpHarness, startHttpHarness } from '../support/http-harness.ts';

let harness: HttpHarness;
let outbox: Outbox;
let server: SMTPServer;
let smtp: Mailer;
let received: string[];

beforeAll(async () => {
  harness = await startHttpHarness({ routes: () => [] });
  outbox = createOutbox(harness);
  server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo({ address }, _session, done) {
      done(
        address.startsWith('nobody') ? Object.assign(new Error('No such user'), { responseCode: 550 }) : null,
      );
    },
    onData(stream, _session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        received.push(Buffer.concat(chunks).toString());
        done();
      });
    },
  });
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;
  smtp = createSmtpMailer({ url: `smtp://127.0.0.1:${port}`, timeoutMs: 10_000 });
});
afterAll(async () => {
  await harness.close();
  await new Promise<void>((resolve) => server.close(resolve));
});

let leadId: string;
let profileId: string;
beforeEach(async () => {
  received = [];
  for (const table of ['outbox', 'suppression_entries', 'datasets', 'sender_profiles']) {
    await harness.ownerQuery(`delete from ${table}`);
  }
  leadId = await addLead('maureen@acme.example');
  profileId = await addProfile({
    from_name: 'Jane Doe',
    from_email: 'jane@example.com',
    postal_address: '1 Long Road\nOslo',
  });
});

async function addLead(email: string, caller: Caller = harness.caller): Promise<string> {
  const [datasetId, id] = [harness.newId(), harness.newId()];
  await harness.ownerQuery(
    `insert into datasets (id, workspace_id, user_id, name, source_type) values ($1, $2, 'u', 'd', 'csv')`,
    [datasetId, caller.workspaceId],
  );
  await harness.ownerQuery(
    `insert into leads (id, workspace_id, dataset_id, row_index, email, first_name, last_name, company)
     values ($1, $2, $3, 0, $4, 'Maureen', 'Fuentes', 'Acme')`,
    [id, caller.workspaceId, datasetId, email],
  );
  return id;
}

async function addProfile(senderData: object): Promise<string> {
  const id = harness.newId();
  await harness.ownerQuery(
    `insert into sender_profiles (id, workspace_id, user_id, profile_name, sender_data, is_default)
     values ($1, $2, $3, 'Mine', $4, true)`,
    [id, harness.caller.workspaceId, harness.caller.userId, JSON.stringify(senderData)],
  );
  return id;
}

function outside(tool: Tool): OutsideTool<never> {
  if (tool.effect !== 'outside') throw new Error('It must be a tool that reaches outside.');
  return tool;
}

function toolFor(mailer: Mailer, database: Database = harness.database): OutsideTool<never> {
  const leads = {
    ...createLeads(harness),
    async hasAddressWithin(tx: WorkspaceTransaction, address: string) {
      const rows = await tx.selectFrom('leads').select('email').execute();
      return rows.some((row) => row.email.toLowerCase() === address.toLowerCase());
    },
  };
  return outside(
    createSendEmailTool({
      database,
      leaseSeconds: 5,
      now: () => Date.now(),
      leads,
      senders: createSenderProfiles({ ...harness, now: () => Date.now() }),
      suppression: createSuppression(harness),
      outbox,
      mailer,
    }),
  );
}

let calls = 0;
function contextFor(changes: Partial<ExecuteContext> = {}): ExecuteContext {
  calls += 1;
  return {
    caller: harness.caller,
    turnId: harness.newId(),
    toolCallId: `call-${calls}`,
    tainted: false,
    signal: new AbortController().signal,
    providerKey: `key-${calls}`,
    progress: () => undefined,
    spent: () => undefined,
    ...changes,
  };
}

const words = { subject: 'Hi', body: 'Hello Maureen,\n\nshall we talk about maps?\n\nJane' };

function propose(tool: OutsideTool<never>, args: object, context = contextFor()): Promise<Proposal> {
  return tool.propose(context, tool.schema.parse(args));
}
function within<T>(work: (tx: WorkspaceTransaction) => Promise<T>): Promise<T> {
  return harness.database.within(harness.caller.workspaceId, work);
}

/** Carries a proposal out as the gate does: two transactions, the act between them. */
async function execute(tool: OutsideTool<never>, context: ExecuteContext, proposal: Proposal) {
  const intent = await within((tx) => tool.intendWithin(tx, context, proposal));
  if ('done' in intent) return { outcome: null, result: intent.done };
  const outcome = await tool.act(context, proposal);
  return { outcome, result: await within((tx) => tool.settleWithin(tx, context, proposal, outcome)) };
}
const listed = async () => (await outbox.list(harness.caller, { limit: 50 })).items;

describe('the proposal of send_email', () => {
  it('shows exactly the mail that would leave', async () => {
    const proposal = await propose(toolFor(smtp), { lead_id: leadId, ...words });
    const from = 'Jane Doe <jane@example.com>';
    const to = 'Maureen Fuentes <maureen@acme.example>';
    expect(proposal).toMatchObject({
      args: { lead_id: leadId, ...words, sender_profile_id: profileId },
      effectClass: 'send',
      credits: 0,
      title: `Send an email to ${to}`,
      facts: [
        { label: 'To', value: to },
        { label: 'From', value: from },
        { label: 'Subject', value: 'Hi' },
        { label: 'Sending', value: 'by SMTP now' },
      ],
      preview: [{ from, to, subject: 'Hi', body: `${words.body}\n\n-- \n1 Long Road, Oslo` }],
      consequence: 'One email leaves for maureen@acme.example. It cannot be taken back.',
    });
    expect(received).toEqual([]);
    expect(await listed()).toEqual([]);
  });

  it('is the same for its own arguments, tainted or not: what is approved can be computed again', async () => {
    const tool = toolFor(smtp);
    const other = await addLead('other@acme.example');
    for (const args of [{ lead_id: leadId }, { to: 'maureen@acme.example' }, { lead_id: other }]) {
      const first = await propose(tool, { ...args, ...words });
      const second = await propose(tool, first.args, contextFor({ tainted: true }));
      expect(second.args).toEqual(first.args);
      expect(second.stands).toEqual(first.stands);
    }
  });

  it.each([
    ['the name of the lead', "update leads set first_name = 'Mo'"],
    ['the address of the lead', "update leads set email = 'x@acme.example'"],
    [
      'the name of the sender',
      `update sender_profiles set sender_data = sender_data || '{"from_name": "Jo"}'`,
    ],
    [
      'the mailbox of the sender',
      `update sender_profiles set sender_data = sender_data || '{"from_email": "j@x.io"}'`,
    ],
    [
      'the postal address',
      `update sender_profiles set sender_data = sender_data || '{"postal_address": "Rome"}'`,
    ],
  ])('stands for something else once %s has changed', async (_what, change) => {
    const tool = toolFor(smtp);
    const first = await propose(tool, { lead_id: leadId, ...words });
    await harness.ownerQuery(change);
    expect((await propose(tool, first.args)).stands).not.toEqual(first.stands);
  });

  it('stands for something else when mail would leave that was approved as sandbox', async () => {
    const kept = await propose(toolFor(createSandboxMailer()), { lead_id: leadId, ...words });
    const sent = await propose(toolFor(smtp), kept.args);
    expect(sent.stands).not.toEqual(kept.stands);
    const caller = { ...harness.caller, sandbox: true };
    const sandboxed = await propose(toolFor(smtp), kept.args, contextFor({ caller }));
    expect(sandboxed.stands).toEqual(kept.stands);
    for (const { facts, consequence } of [kept, sandboxed]) {
      expect(facts.at(-1)?.value).toBe('sandbox: kept in the outbox, nothing leaves this machine');
      expect(consequence).toContain('Nothing leaves this machine.');
    }
  });

  it('lets free text name a recipient only while nothing untrusted was read, unless a lead has the address', async () => {
    const tool = toolFor(smtp);
    const stranger = { to: 'stranger@example.net', ...words };
    expect((await propose(tool, stranger)).args).toMatchObject({ to: 'stranger@example.net' });
    const tainted = contextFor({ tainted: true });
    await expect(propose(tool, stranger, tainted)).rejects.toMatchObject({ code: 'RECIPIENT_NOT_ALLOWED' });
    expect(await propose(tool, { to: 'Maureen@ACME.example', ...words }, tainted)).toMatchObject({
      args: { to: 'Maureen@ACME.example' },
    });
    await addLead('foreign@example.net', harness.other);
    await expect(propose(tool, { to: 'foreign@example.net', ...words }, tainted)).rejects.toMatchObject({
      code: 'RECIPIENT_NOT_ALLOWED',
    });
  });

  it('refuses leads and senders that are not there, foreign ones, and addresses no mail can go to', async () => {
    const tool = toolFor(smtp);
    const foreign = await addLead('x@example.net', harness.other);
    const broken = await addLead('no address');
    const lines = await addLead('a@example.net\r\nBcc: b@example.net');
    await expect(propose(tool, { lead_id: foreign, ...words })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(propose(tool, { lead_id: broken, ...words })).rejects.toMatchObject({
      code: 'RECIPIENT_INVALID',
    });
    await expect(propose(tool, { lead_id: lines, ...words })).rejects.toMatchObject({
      code: 'RECIPIENT_INVALID',
    });
    const nobody = { lead_id: leadId, sender_profile_id: harness.newId(), ...words };
    await expect(propose(tool, nobody)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await harness.ownerQuery('delete from sender_profiles');
    await expect(propose(tool, { lead_id: leadId, ...words })).rejects.toMatchObject({
      code: 'NO_SENDER_PROFILE',
    });
  });

  it('refuses a suppressed address in any case', async () => {
    await createSuppression(harness).add(harness.caller, { email: 'Maureen@acme.example' });
    const tool = toolFor(smtp);
    for (const args of [{ lead_id: leadId }, { to: 'MAUREEN@acme.example' }]) {
      await expect(propose(tool, { ...args, ...words })).rejects.toMatchObject({
        code: 'RECIPIENT_SUPPRESSED',
      });
    }
  });

  it('warns, worst first, of what a person should see', async () => {
    const codes = async (args: object) =>
      (await propose(toolFor(smtp), { lead_id: leadId, ...words, ...args })).warnings.map((one) => one.code);
    expect(await codes({})).toEqual(['NO_UNSUBSCRIBE']);
    expect(await codes({ body: `${words.body}\nWrite "unsubscribe" to hear no more.` })).toEqual([]);
    expect(await codes({ body: 'Hi {{first_name}}' })).toEqual([
      'UNFILLED_PLACEHOLDER',
      'BODY_SHORT',
      'NO_UNSUBSCRIBE',
    ]);
    expect(await codes({ subject: 'Hi \u202egnp.exe' })).toEqual(['HIDDEN_CHARACTERS', 'NO_UNSUBSCRIBE']);
    expect(await codes({ lead_id: undefined, to: 'info@acme.example' })).toEqual([
      'ROLE_ACCOUNT',
      'NO_UNSUBSCRIBE',
    ]);
    await harness.ownerQuery(`update sender_profiles set sender_data = '{"from_name": "Jane"}'`);
    expect(await codes({})).toEqual(['SENDER_MAILBOX_MISSING', 'NO_POSTAL_ADDRESS', 'NO_UNSUBSCRIBE']);
    const { facts } = await propose(toolFor(smtp), { lead_id: leadId, ...words });
    expect(facts[1]?.value).toBe('Jane <a@example.com>');
    const nameless = contextFor({ caller: { ...harness.caller, email: null } });
    await expect(propose(toolFor(smtp), { lead_id: leadId, ...words }, nameless)).rejects.toMatchObject({
      code: 'NO_SENDER_PROFILE',
    });
  });

  it('warns of an earlier mail to the same person, but not of the mail itself', async () => {
    const tool = toolFor(createSandboxMailer());
    const context = contextFor();
    const first = await propose(tool, { lead_id: leadId, ...words }, context);
    await execute(tool, context, first);
    const warned = async (where: ExecuteContext) =>
      (await propose(tool, first.args, where)).warnings.some((one) => one.code === 'MAILED_RECENTLY');
    expect(await warned(context)).toBe(false);
    expect(await warned(contextFor())).toBe(true);
  });

  it('does not repeat a postal address that the text has already', async () => {
    const body = 'Hello Maureen,\n\nwrite to us.\n\nJane\n1 Long Road, Oslo';
    expect((await propose(toolFor(smtp), { lead_id: leadId, subject: 'Hi', body })).preview[0]?.body).toBe(
      body,
    );
  });

  it.each([
    ['both a lead and an address', { to: 'a@example.com' }],
    ['neither', { lead_id: undefined }],
    ['a subject of two lines', { subject: 'Hi\nBcc: evil@example.net' }],
    ['an empty subject', { subject: ' ' }],
    ['a subject of 999 characters', { subject: 'a'.repeat(999) }],
    ['an empty body', { body: '\n' }],
    ['a body of 50,001 characters', { body: 'a'.repeat(50_001) }],
    ['a body that cannot be kept', { body: 'a\0b' }],
    ['several addresses', { lead_id: undefined, to: 'a@example.com,b@example.com' }],
    ['an argument that it does not know', { bcc: 'evil@example.net' }],
  ])('takes no call with %s', (_what, changes) => {
    const { schema } = toolFor(smtp);
    expect(schema.safeParse({ lead_id: leadId, ...words }).success).toBe(true);
    expect(schema.safeParse({ lead_id: leadId, ...words, ...changes }).success).toBe(false);
  });
});

describe('send_email carried out', () => {
  it('tells nothing but a failure when it is asked to act on a mail that was not recorded, only kept, or forbidden since', async () => {
    const tool = toolFor(smtp);
    const context = contextFor();
    const proposal = await propose(tool, { lead_id: leadId, ...words }, context);
    expect(await tool.act(context, proposal)).toMatchObject({ state: 'failed' });
    const kept = contextFor({ caller: { ...harness.caller, sandbox: true } });
    await execute(tool, kept, await propose(tool, { lead_id: leadId, ...words }, kept));
    expect(await tool.act(kept, proposal)).toMatchObject({ state: 'failed' });
    await within((tx) => tool.intendWithin(tx, context, proposal));
    await createSuppression(harness).add(harness.caller, { email: 'maureen@acme.example' });
    expect(await tool.act(context, proposal)).toMatchObject({
      state: 'failed',
      error: { code: 'RECIPIENT_SUPPRESSED' },
    });
    expect(received).toEqual([]);
  });

  it('looks again where the database is away for a moment before the mail leaves', async () => {
    let away = 0;
    const tool = toolFor(smtp, {
      ...harness.database,
      async within(workspaceId, work) {
        const result = await harness.database.within(workspaceId, work);
        // Committed, and its answer is lost.
        if (away > 0) {
          away -= 1;
          throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
        }
        return result;
      },
    });
    const context = contextFor();
    const proposal = await propose(tool, { lead_id: leadId, ...words }, context);
    await within((tx) => tool.intendWithin(tx, context, proposal));
    away = 2;
    expect(await tool.act(context, proposal)).toMatchObject({ state: 'done' });
    expect(received).toHaveLength(1);
  });

  it('sends the mail that was shown, once, and says so', async () => {
    const tool = toolFor(smtp);
    const context = contextFor();
    const proposal = await propose(tool, { lead_id: leadId, ...words }, context);
    const { outcome, result } = await execute(tool, context, proposal);
    expect(outcome).toMatchObject({ state: 'done' });
    expect(result).toEqual({
      outbox_id: expect.any(String),
      to: 'maureen@acme.example',
      status: 'sent',
      sandbox: false,
    });
    expect(received).toHaveLength(1);
    const [mail] = await listed();
    expect(mail).toMatchObject({
      from: 'Jane Doe <jane@example.com>',
      body: proposal.preview[0]?.body,
      lead_id: leadId,
      turn_id: context.turnId,
      status: 'sent',
    });
    expect(received[0]).toContain(`Message-ID: ${mail?.message_id}`);
    expect(received[0]).toContain('1 Long Road, Oslo');
    // Intended again after it was sent (a lost process, a late retry), it is not sent again.
    expect(await execute(tool, context, proposal)).toEqual({ outcome: null, result });
    expect(received).toHaveLength(1);
  });

  it.each([
    ['a service without a mail server', () => createSandboxMailer(), {}],
    ['a sandbox caller', () => smtp, { sandbox: true }],
  ])('only keeps the mail for %s, and says that', async (_who, mailer, changes) => {
    const tool = toolFor(mailer());
    const context = contextFor({ caller: { ...harness.caller, ...changes } });
    const proposal = await propose(tool, { lead_id: leadId, ...words }, context);
    const { outcome, result } = await execute(tool, context, proposal);
    expect(outcome).toBeNull();
    expect(result).toMatchObject({ status: 'sandbox', sandbox: true });
    expect(received).toEqual([]);
    expect(await listed()).toMatchObject([{ status: 'sandbox', sandbox: true, sent_at: null }]);
  });

  it('refuses in the last moment who was suppressed while the approval waited', async () => {
    const tool = toolFor(smtp);
    const context = contextFor();
    const proposal = await propose(tool, { lead_id: leadId, ...words }, context);
    await createSuppression(harness).add(harness.caller, { email: 'maureen@acme.example' });
    await expect(execute(tool, context, proposal)).rejects.toMatchObject({ code: 'RECIPIENT_SUPPRESSED' });
    expect(await listed()).toEqual([]);
    expect(received).toEqual([]);
  });

  it('keeps what the server refused, with its reason', async () => {
    const tool = toolFor(smtp);
    const context = contextFor();
    const proposal = await propose(tool, { to: 'nobody@acme.example', ...words }, context);
    const { outcome, result } = await execute(tool, context, proposal);
    expect(outcome).toMatchObject({ state: 'failed', error: { code: 'MAIL_REFUSED', retryable: false } });
    expect(result).toBeUndefined();
    expect(await listed()).toMatchObject([
      { status: 'failed', error: { message: expect.stringContaining('No such user') }, sent_at: null },
    ]);
  });

  it('keeps an unknown end until a person says how it was, and tries again under the same message id', async () => {
    const attempts: string[] = [];
    const lost: Mailer = {
      sandbox: false,
      deduplicates: false,
      async send(mail) {
        attempts.push(mail.messageId);
        const error = { code: 'EFFECT_UNKNOWN' as const, message: 'Lost.', retryable: false };
        return attempts.length === 1 ? { state: 'unknown', error } : smtp.send(mail);
      },
    };
    const tool = toolFor(lost);
    const context = contextFor();
    const proposal = await propose(tool, { lead_id: leadId, ...words }, context);
    expect(await execute(tool, context, proposal)).toMatchObject({
      outcome: { state: 'unknown' },
      result: undefined,
    });
    expect(await listed()).toMatchObject([{ status: 'unknown', error: { code: 'EFFECT_UNKNOWN' } }]);
    // A person chose "retry": the gate acts again with nothing but the approved arguments, whatever has changed since.
    await harness.ownerQuery("update leads set email = 'x@acme.example'");
    const outcome = await tool.act(context, { ...proposal, stands: {} });
    expect(outcome).toMatchObject({ state: 'done' });
    const settled = await within((tx) =>
      tool.settleWithin(tx, context, { ...proposal, stands: {} }, outcome),
    );
    expect(settled).toMatchObject({ status: 'sent', to: 'maureen@acme.example' });
    expect(received).toHaveLength(1);
    expect(attempts).toHaveLength(2);
    expect(new Set(attempts).size).toBe(1);
    expect(await listed()).toHaveLength(1);
    // Done is done, also for an act that does not know it.
    expect(await tool.act(context, proposal)).toMatchObject({ state: 'done' });
    expect(received).toHaveLength(1);
    // Another mail a person says was sent.
    const other = contextFor();
    attempts.length = 0;
    await execute(tool, other, proposal);
    const done = { state: 'done', providerRef: null } as const;
    const marked = await within((tx) => tool.settleWithin(tx, other, proposal, done));
    expect(marked).toMatchObject({ status: 'sent' });
  });
});
