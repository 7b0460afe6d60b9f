/** What the offline model says of itself, and what it says when it does not understand. */

import { defineIntent, type Intent } from '../intent.ts';
import { paragraphs } from '../replies.ts';
import type { Scene } from '../scene.ts';
import { core } from '../words.ts';

const STAND_IN =
  'I am the offline model: a stand-in made of fixed rules, not a language model. I answer because no model is configured.';

const ASKS_HELP =
  /^(?:help|commands?|options|menu|capabilities|features|what else|what (?:all )?(?:can|could) (?:you|i|we|this|it)(?: all)?(?: do| ask| say| help).*|what (?:all )?do you (?:do|offer|know|understand)|what (?:are you|is this) (?:able|good|for).*|what are (?:your|the|my) (?:capabilities|skills|tools|commands|options|features)|what (?:tools|commands|skills) (?:do you have|are there)|how (?:can|do|could|does) (?:you|i|we|this|it) (?:help|work|use|start|begin).*|(?:show|list|give)(?: me)? (?:your |the |some )?(?:capabilities|commands|examples|options|help))$/i;
const ASKS_WHO =
  /^(?:(?:and )?(?:who|what)(?: exactly)? are you(?: exactly)?|what is this|(?:what|which) (?:ai |language |llm )?(?:model|llm|ai) (?:are you|is this|is that|do you (?:use|run)|am i (?:talking|speaking) (?:to|with)).*|who am i (?:talking|speaking|chatting) (?:to|with)|are you (?:an? |the )?(?:real|chat ?gpt|gpt|claude|gemini|human|person|ai|bot|robot|llm|language model|offline|stand-?in|openai|machine).*|is this (?:an? |the )?(?:real|chat ?gpt|gpt|ai|bot|offline|llm).*|(?:tell me about|introduce|describe) yourself)$/i;
const GREETS =
  /^(?:(?:hi|hello|hey|good (?:morning|afternoon|evening|day))(?: there| again| all)?|thanks|thank you|cheers)(?: so much| very much| a lot)?$/i;

/** What people ask for and no tool does, with where it is done. */
const CANNOT: { asks: RegExp; answer: string }[] = [
  {
    asks: /^(?:delete|remove|drop|throw away) (?:the |my |our |this |that )?(?:.+ )?(?:campaigns?|it)(?: .+)?$/i,
    answer:
      'I cannot delete campaigns. `DELETE /api/v1/campaigns/{campaign_id}` does; to hold one, say “pause the NAME campaign”.',
  },
  {
    asks: /^(?:who|how many(?: people| leads)?|has anyone|did anyone)(?: has| have)? (?:opened|clicked|open|click)(?: .+)?$/i,
    answer: 'Opens and clicks are not counted here: no pixel and no changed link goes out with a mail.',
  },
  {
    asks: /^(?:import|upload|load|add)(?: (?:a|an|the|my|our|some|new|more|another))* (?:csv(?: file)?s?|files?|leads|lists?|contacts|people|datasets?|spreadsheets?)(?: (?:please|from (?:a )?(?:csv|file|spreadsheet)))?$|^how (?:do|can|could) (?:i|we) (?:import|upload|add|load) .+$/i,
    answer:
      'Drop a CSV file into the page, or send it: `curl -F file=@leads.csv -H "X-Overture-Client: 1" …/api/v1/datasets/import`. One row a person, one column with addresses. It then stands under “list my datasets”.',
  },
];

/** Help, identity and greetings. `doing` are the intents that do something: the help is made of their examples. */
export function aboutIntents(doing: readonly Intent[]): Intent[] {
  const about = (asks: RegExp, example: string, answer: (scene: Scene) => string) =>
    defineIntent<true>({
      example,
      tools: [],
      read: ({ said }) => (asks.test(said) ? true : undefined),
      next: (_, scene) => ({ text: answer(scene) }),
    });
  return [
    about(ASKS_HELP, 'What can you do?', (scene) => {
      const examples = available(doing, scene);
      return paragraphs(
        STAND_IN,
        examples.length > 0
          ? 'I understand plain requests such as these:'
          : 'I have no tools in this answer.',
        examples.map((example) => `- ${example}`).join('\n'),
        examples.length > 0
          ? 'I use only what stands in your data or in your words, and I ask before anything is sent.'
          : '',
      );
    }),
    about(ASKS_WHO, 'What are you?', () =>
      paragraphs(
        STAND_IN,
        'With a model configured (`OPENAI_API_KEY` or `OPENAI_BASE_URL`), that model answers instead.',
      ),
    ),
    ...CANNOT.map(({ asks, answer }) =>
      defineIntent<true>({
        tools: [],
        read: ({ said }) => (asks.test(said) ? true : undefined),
        next: () => ({ text: answer }),
      }),
    ),
    about(GREETS, 'Hello', (scene) =>
      /^(?:thank|cheers)/i.test(scene.said)
        ? 'You are welcome.'
        : paragraphs(`Hello. ${STAND_IN}`, suggestions(doing, scene)),
    ),
  ];
}

/** The answer to words that no rule recognises: with what comes nearest to them, where something does. */
export function notUnderstood(intents: readonly Intent[], scene: Scene): string {
  const able = intents.filter((intent) => intent.tools.length > 0);
  const near = nearest(able, scene);
  return paragraphs(
    'I did not understand that. I am the offline model, a stand-in that knows a fixed set of requests.',
    near.length > 0
      ? `The nearest that I know:\n\n${near.map((example) => `- ${example}`).join('\n')}`
      : suggestions(able, scene),
    'Ask “What can you do?” to see them all.',
  );
}

/** The examples that share most words with what was said; small words and those that stand for a name do not count. */
function nearest(intents: readonly Intent[], scene: Scene): string[] {
  const stems = (text: string) =>
    new Set(
      core(text)
        .split(/[\s-]+/)
        .flatMap(stemOf),
    );
  const said = stems(scene.said);
  return available(suggestedFirst(intents), scene)
    .map((example) => {
      const words = stems(example.replaceAll(/\b[A-Z]{3,}\b/g, ''));
      return { example, shared: [...words].filter((word) => said.has(word)).length };
    })
    .filter(({ shared }) => shared > 0)
    .toSorted((one, other) => other.shared - one.shared)
    .slice(0, 4)
    .map(({ example }) => example);
}

function stemOf(word: string): string[] {
  const stem = word.replace(/(?:ing|ed|es|s)$/, '');
  return stem.length < 3 ? [] : [stem];
}

function suggestions(intents: readonly Intent[], scene: Scene): string {
  const examples = available(suggestedFirst(intents), scene).slice(0, 3);
  return examples.length > 0
    ? `Try one of these:\n\n${examples.map((example) => `- ${example}`).join('\n')}`
    : '';
}

function suggestedFirst(intents: readonly Intent[]): Intent[] {
  return [...intents.filter((intent) => intent.suggested), ...intents.filter((intent) => !intent.suggested)];
}

function available(intents: readonly Intent[], scene: Scene): string[] {
  return intents
    .filter((intent) => intent.tools.every((tool) => scene.tools.has(tool)))
    .flatMap((intent) => intent.example ?? []);
}
