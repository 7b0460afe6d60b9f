/** What the {{variables}} of a template become. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderTemplate, variablesOf } from '../../../src/resources/templates/render.ts';

describe('renderTemplate', () => {
  it.each([
    ['Hi {{first_name}}!', 'Hi Ada!', []],
    ['Hi {{ first_name }}!', 'Hi Ada!', []],
    ['Hi {{first_name|there}}!', 'Hi Ada!', []],
    ['Hi {{city|there}}!', 'Hi there!', []],
    ['Hi {{ blank | there }}!', 'Hi there!', []],
    ['Hi {{city|}}!', 'Hi !', []],
    ['Hi {{city}} {{city}} {{blank}}', 'Hi   ', ['city', 'blank']],
    ['{{Company Name}}', 'Engines', []],
    ['{{employees}}', '12', []],
    ['{{constructor}}{{__proto__}}{{toString|x}}', 'x', ['constructor', '__proto__']],
    ['{{braces}}', '{{first_name}} <%= 1+1 %>', []],
    ['{first_name} {{}} {{{first_name}}} {{first_name', '{first_name} {{}} {Ada} {{first_name', []],
    ['<%= x %> $& {{dollar}}', '<%= x %> $& $&$1', []],
    ['{{object}}', '', ['object']],
  ])('makes of %j the text %j', (template, text, missing) => {
    const values = {
      first_name: 'Ada',
      blank: '  ',
      'Company Name': 'Engines',
      employees: 12,
      braces: '{{first_name}} <%= 1+1 %>',
      dollar: '$&$1',
      object: { a: 1 },
    };
    expect(renderTemplate(template, values)).toEqual({ text, missing });
  });

  it('inserts every value as it is, and leaves a text without variables alone', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        fc.pre(value.trim() !== '');
        expect(renderTemplate('<{{v}}>', { v: value })).toEqual({ text: `<${value}>`, missing: [] });
      }),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!text.includes('{{'));
        expect(renderTemplate(text, {})).toEqual({ text, missing: [] });
      }),
    );
  });

  it('takes time in proportion to the text, whatever its braces', () => {
    const began = performance.now();
    for (const hostile of ['{{', '{{a', '{{a|', '{{ ', '|', '{{a|b'])
      renderTemplate(hostile.repeat(25_000), {});
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

describe('variablesOf', () => {
  it('names each variable once, in the order of the texts', () => {
    expect(variablesOf('{{b}} and {{ a }}', '{{a|x}} {{c|{{d}}')).toEqual(['b', 'a', 'd']);
  });
});
