import type { Content } from './templates.ts';

/** @returns the same mail as plain text and as HTML */
export function render(content: Content): { subject: string; text: string; html: string } {
  return { subject: content.subject, text: renderText(content), html: renderHtml(content) };
}

const SIGNATURE = 'Latchkey sent you this mail because it concerns your account or your email address.';

function renderText({ greeting, paragraphs, facts = [], action, unexpected }: Content): string {
  const blocks = [
    greeting,
    ...paragraphs,
    ...(facts.length > 0 ? [facts.map(([label, value]) => `${label}: ${value}`).join('\n')] : []),
    ...(action === undefined ? [] : [`${action.label}:\n${action.url}`]),
    ...(action?.note === undefined ? [] : [action.note]),
    unexpected,
    // "-- " before the signature is how mail programs recognize it (RFC 3676, section 4.3).
    `-- \n${SIGNATURE}`,
  ];
  return `${blocks.join('\n\n')}\n`;
}

export const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** Inline, because some mail programs remove style sheets: in those, the mail is light, with colors that go together. */
const STYLES = {
  body: 'margin:0;padding:24px 12px;background:#f6f3ec;color:#1c2433;font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif',
  card: 'max-width:520px;margin:0 auto;padding:24px;background:#fffefb;border-radius:8px',
  heading: 'margin:0 0 16px;font-size:20px;line-height:1.3',
  paragraph: 'margin:0 0 16px',
  muted: 'margin:0 0 16px;color:#586073;font-size:14px',
  button:
    'display:inline-block;padding:12px 20px;background:#22304a;color:#ffffff;border-radius:6px;text-decoration:none;font-weight:600',
  url: 'color:#586073;word-break:break-all',
} satisfies Record<string, string>;

/** `!important`, or the inline styles would win. */
const DARK = `@media (prefers-color-scheme: dark) {
body { background: #11151d !important; color: #efece4 !important }
.card { background: #1a202b !important }
.muted, .url { color: #a8afbd !important }
.button { background: #e3b45a !important; color: #1d1606 !important }
}`;

function renderHtml({ subject, greeting, paragraphs, facts = [], action, unexpected }: Content): string {
  const styled = (name: keyof typeof STYLES) => `class="${name}" style="${escapeHtml(STYLES[name])}"`;
  const paragraph = (html: string, style: 'paragraph' | 'muted' = 'paragraph') => `<p ${styled(style)}>${html}</p>`;
  const url = action && escapeHtml(action.url);
  const blocks = [
    `<h1 ${styled('heading')}>${escapeHtml(subject)}</h1>`,
    ...[greeting, ...paragraphs].map((text) => paragraph(escapeHtml(text))),
    ...(facts.length > 0
      ? [paragraph(facts.map(([label, value]) => `${escapeHtml(label)}: <b>${escapeHtml(value)}</b>`).join('<br>'))]
      : []),
    ...(action === undefined
      ? []
      : [paragraph(`<a href="${url}" ${styled('button')}>${escapeHtml(action.label)}</a>`)]),
    ...(action?.note === undefined ? [] : [paragraph(escapeHtml(action.note), 'muted')]),
    paragraph(escapeHtml(unexpected)),
    ...(action === undefined
      ? []
      : [
          paragraph(
            `If the button does not work, open this address:<br><a href="${url}" ${styled('url')}>${url}</a>`,
            'muted',
          ),
        ]),
    paragraph(SIGNATURE, 'muted'),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${escapeHtml(subject)}</title>
<style>:root { color-scheme: light dark }
${DARK}</style>
</head>
<body style="${escapeHtml(STYLES.body)}">
<div ${styled('card')}>
${blocks.join('\n')}
</div>
</body>
</html>
`;
}
