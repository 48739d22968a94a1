// Reads an AsyncAPI document with the official parser; ends with 1 and the errors if there are any.
// Usage: node asyncapi.mjs FOLDER_OF_NODE_MODULES FILE

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [folder, file] = process.argv.slice(2);
const require = createRequire(join(resolve(folder), 'index.js'));
const { Parser, DiagnosticSeverity } = require('@asyncapi/parser');

const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'));
const errors = diagnostics.filter((diagnostic) => diagnostic.severity === DiagnosticSeverity.Error);
for (const { path, message } of errors) {
  console.log(`${path.join('.')}: ${message}`);
}
if (document === undefined || errors.length > 0) {
  process.exit(1);
}
console.log(`${file}: ${document.channels().length} channels, ${document.operations().length} operations`);
