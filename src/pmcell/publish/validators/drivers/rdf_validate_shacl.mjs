// rdf-validate-shacl: dcat.ttl against the same shapes as pyshacl, by a second engine.
//     node rdf_validate_shacl.mjs RELEASE OPTIONS_AS_JSON
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const TARGET = "dcat.ttl";
const LEVELS = { Violation: "REQUIRED", Warning: "RECOMMENDED" };
const options = JSON.parse(process.argv[3]);
// The packages lie in the validator's own folder, not beside this file.
const require = createRequire(`${options.environment}/package.json`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

const { default: Validator } = await load("rdf-validate-shacl");
const { default: factory } = await load("@rdfjs/dataset");
const { Parser } = await load("n3");

const read = (file) =>
  factory.dataset(new Parser({ format: "N-Triples" }).parse(readFileSync(file, "utf8")));

const data = read(options.data);
const checks = [];
const raw = {};
for (const [name, file] of Object.entries(options.shapes)) {
  let report;
  try {
    report = await new Validator(read(file)).validate(data);
  } catch (error) {
    // A file of a user's folder that is no graph of shapes: told, and no verdict on the record.
    const message = `these shapes cannot be applied: ${String(error).slice(0, 300)}`;
    checks.push({ target: TARGET, level: `${name} RECOMMENDED`, findings: [{ message, where: name }] });
    continue;
  }
  raw[name] = report.results
    .map((item) => ({
      severity: item.severity.value.split("#").pop(),
      message: item.message.map((text) => text.value).join("; ") || "breaks the shape",
      where: [item.focusNode?.value, item.path?.value].filter(Boolean).join(" "),
    }))
    .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  for (const [severity, level] of Object.entries(LEVELS)) {
    const findings = raw[name]
      .filter((item) => item.severity === severity)
      .map(({ message, where }) => ({ message, where }));
    checks.push({ target: TARGET, level: `${name} ${level}`, findings });
  }
}
process.stdout.write(JSON.stringify({ checks, raw }));
