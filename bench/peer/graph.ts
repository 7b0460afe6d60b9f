/**
 * The graph of the peer: the steps of graphs/outreach (model → propose → one `call` task each → model) as LangGraph's
 * own documentation writes them. The benchmark copies this file into the peer's folder, so that it finds its packages.
 */

import { readFileSync } from 'node:fs';
import { type AIMessage, ToolMessage } from '@langchain/core/messages';
import { Command, END, MessagesAnnotation, Send, START, StateGraph } from '@langchain/langgraph';
import { ChatOpenAI } from '@langchain/openai';

/** What our service sent to the model: the same rules and the same tools are sent from here. */
const { rules, tools }: { rules: string; tools: Record<string, unknown>[] } = JSON.parse(
  readFileSync(new URL('request.json', import.meta.url), 'utf8'),
);

const model = new ChatOpenAI({
  model: 'bench',
  apiKey: 'bench',
  streaming: true,
  configuration: { baseURL: `${process.env.BENCH_MODEL_URL}/v1` },
}).bindTools(tools);

type State = typeof MessagesAnnotation.State;

function callsOf(state: State) {
  const last = state.messages.at(-1);
  return last?.getType() === 'ai' ? ((last as AIMessage).tool_calls ?? []) : [];
}

export const graph = new StateGraph(MessagesAnnotation)
  .addNode('model', async (state: State) => ({
    messages: [await model.invoke([{ role: 'system', content: rules }, ...state.messages])],
  }))
  .addNode(
    'propose',
    (state: State) => new Command({ goto: callsOf(state).map((call) => new Send('call', call)) }),
    { ends: ['call'] },
  )
  .addNode('call', (call: { id?: string }) => ({
    messages: [
      new ToolMessage({
        tool_call_id: call.id ?? '',
        content: JSON.stringify({ total_credits: 100, used_credits: 0, available_credits: 100 }),
      }),
    ],
  }))
  .addEdge(START, 'model')
  .addConditionalEdges('model', (state: State) => (callsOf(state).length > 0 ? 'propose' : END), {
    propose: 'propose',
    [END]: END,
  })
  .addEdge('call', 'model')
  .compile();
