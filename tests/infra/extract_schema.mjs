// Writes a fixture of what one release of the AWS provider for Terraform takes and gives,
// for the resources and data sources that a stack like ours uses, in the form of
// `terraform providers schema -json`.
//
//   @cdktn/provider-aws (npm) ── code (.js) ── its source map ── source (.ts)
//                                                                 │
//        names, types, blocks and their nesting, required / optional / computed
//
// The package is generated from the provider's own schema and keeps its names and flags.
// It knows no limit on blocks but "at least one" and "at most one", and not what is
// deprecated or sensitive. It is read, never run. Anything that does not look as expected
// ends the reading: a silent gap would let mistakes through.
//
// Usage: node extract_schema.mjs PACKAGE_FOLDER INFRA_FOLDER OUTPUT

import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

// What such stacks use, whether this one does already or not: a new resource should
// rarely need a new download. What infra/ names beyond it is added by itself.
const RESOURCES = `
  acm_certificate acm_certificate_validation
  apigatewayv2_api apigatewayv2_api_mapping apigatewayv2_authorizer apigatewayv2_deployment
  apigatewayv2_domain_name apigatewayv2_integration apigatewayv2_route apigatewayv2_stage
  cloudwatch_composite_alarm cloudwatch_dashboard cloudwatch_event_archive cloudwatch_event_bus
  cloudwatch_event_bus_policy cloudwatch_event_rule cloudwatch_event_target cloudwatch_log_group
  cloudwatch_log_metric_filter cloudwatch_log_resource_policy cloudwatch_log_subscription_filter
  cloudwatch_metric_alarm cloudwatch_query_definition
  dynamodb_resource_policy dynamodb_table
  iam_policy iam_role iam_role_policies_exclusive iam_role_policy iam_role_policy_attachment
  iam_role_policy_attachments_exclusive
  kms_alias kms_grant kms_key kms_key_policy
  lambda_alias lambda_event_source_mapping lambda_function lambda_function_event_invoke_config
  lambda_function_url lambda_permission lambda_provisioned_concurrency_config
  route53_record route53_zone
  s3_bucket s3_bucket_lifecycle_configuration s3_bucket_logging s3_bucket_metric
  s3_bucket_notification s3_bucket_ownership_controls s3_bucket_policy
  s3_bucket_public_access_block s3_bucket_server_side_encryption_configuration
  s3_bucket_versioning s3_object
  scheduler_schedule scheduler_schedule_group
  secretsmanager_secret secretsmanager_secret_policy secretsmanager_secret_rotation
  secretsmanager_secret_version
  sns_topic sns_topic_policy sns_topic_subscription
  sqs_queue sqs_queue_policy sqs_queue_redrive_allow_policy sqs_queue_redrive_policy
  ssm_parameter xray_group xray_sampling_rule
`;
const DATA = `
  acm_certificate availability_zones caller_identity cloudwatch_event_bus cloudwatch_log_group
  default_tags dynamodb_table iam_policy iam_policy_document iam_role kms_alias kms_key
  lambda_function partition region route53_zone s3_bucket secretsmanager_secret service_principal
  sns_topic sqs_queue
`;
// What the getters of the generated code give, by the method that they call.
const GETTERS = {
  getStringAttribute: 'string',
  getNumberAttribute: 'number',
  getBooleanAttribute: 'bool',
  getListAttribute: ['list', 'string'],
  getNumberListAttribute: ['list', 'number'],
  getStringMapAttribute: ['map', 'string'],
  getNumberMapAttribute: ['map', 'number'],
  getBooleanMapAttribute: ['map', 'bool'],
  interpolationForAttribute: 'dynamic',
};
// Collections that the generated code holds in a class of the library.
const HELD = {
  StringMap: ['map', 'string'],
  NumberMap: ['map', 'number'],
  BooleanMap: ['map', 'bool'],
  StringMapList: ['list', ['map', 'string']],
};
const SIMPLE = { string: 'string', number: 'number', boolean: 'bool', any: 'dynamic' };

const [folder, infra, output] = process.argv.slice(2);
if (output === undefined) fail('usage: extract_schema.mjs PACKAGE_FOLDER INFRA_FOLDER OUTPUT');
const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const versions = new Set();

const schema = { provider: provider(), resource_schemas: {}, data_source_schemas: {} };
for (const name of names('resource', RESOURCES)) schema.resource_schemas[`aws_${name}`] = read(name, false);
for (const name of names('data', DATA)) schema.data_source_schemas[`aws_${name}`] = read(name, true);
if (versions.size !== 1) fail(`the package speaks of several providers: ${[...versions]}`);
write();

function fail(reason) {
  console.error(`extract_schema: ${reason}`);
  process.exit(1);
}

/** The list, and whatever infra/ names besides. */
function names(kind, list) {
  const all = new Set(list.trim().split(/\s+/));
  for (const file of terraformFiles(infra)) {
    for (const [, name] of readFileSync(file, 'utf8').matchAll(
      new RegExp(`^\\s*${kind}\\s+"aws_(\\w+)"`, 'gm'),
    )) all.add(name);
  }
  return [...all].sort();
}

function terraformFiles(root) {
  return readdirSync(root, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.')) return [];
    const path = join(root, entry.name);
    if (entry.isDirectory()) return terraformFiles(path);
    return entry.name.endsWith('.tf') ? [path] : [];
  });
}

/** One resource or data source. */
function read(name, isData) {
  const directory = join(folder, 'lib', (isData ? 'data-aws-' : '') + name.replaceAll('_', '-'));
  if (!existsSync(directory)) fail(`the provider has no ${isData ? 'data source' : 'resource'} aws_${name}`);
  const source = { name: `aws_${name}`, text: original(join(directory, 'index.js')) };
  for (const [, version] of source.text.matchAll(/providerVersion: '(\d+\.\d+\.\d+)'/g)) versions.add(version);
  const type = source.text.match(/^export class (\w+) extends cdktn\.Terraform(?:Resource|DataSource) /m)?.[1];
  if (type === undefined) fail(`${source.name}: no class`);
  const own = classOf(source, type);
  const given = part(source, /^ {2}protected synthesizeHclAttributes\(\)[\s\S]*?^ {2}}/m, 'list of arguments', own);
  return { block: block(source, given, own) };
}

/** What the provider itself takes; its `endpoints`, one for each service, are left out. */
function provider() {
  const source = { name: 'the provider', text: original(join(folder, 'lib', 'provider', 'index.js')) };
  const own = classOf(source, 'AwsProvider');
  const given = part(source, /^ {2}protected synthesizeHclAttributes\(\)[\s\S]*?^ {2}}/m, 'list of arguments', own);
  // `alias` is Terraform's own.
  const left = given.replace(/^ {6}(?:alias|endpoints): \{[\s\S]*?^ {6}\},\n/gm, '');
  return { block: block(source, left, own.replace(/^ *\/\/ (?:alias|endpoints) - .*$/gm, '')) };
}

/** The TypeScript that a file was compiled from, which its source map holds. */
function original(path) {
  const map = readFileSync(path, 'utf8').match(/^\/\/# sourceMappingURL=data:application\/json;base64,(\S+)$/m)?.[1];
  if (map === undefined) fail(`${path}: no source map`);
  const [text, ...others] = JSON.parse(Buffer.from(map, 'base64')).sourcesContent ?? [];
  if (text === undefined || others.length > 0) fail(`${path}: the source map does not hold one source`);
  return text;
}

function part({ name, text: all }, pattern, what, text = all) {
  return text.match(pattern)?.[0] ?? fail(`${name}: no ${what}`);
}

function classOf(source, title) {
  return part(source, new RegExp(`^export class ${title} extends [\\s\\S]*?^}`, 'm'), `class ${title}`);
}

/** Attributes and blocks of a resource, or of a block within. */
function block(source, list, holder) {
  const result = { attributes: {}, block_types: {} };
  const flags = flagsOf(holder);
  for (const { name, value, isBlock, type, storage } of members(source, list)) {
    const its = flags.get(name) ?? fail(`${source.name}: nothing says whether ${name} is required`);
    flags.delete(name);
    if (!isBlock) {
      result.attributes[name] = { type: typeOf(source, type, storage), ...its };
      continue;
    }
    if (!['list', 'set', 'struct'].includes(type)) fail(`${source.name}: ${name} nests as ${type}`);
    const isSingle = type === 'struct';
    const isMany = value.startsWith('cdktn.listMapperHcl(');
    result.block_types[name] = {
      nesting_mode: isSingle ? 'single' : type,
      ...(its.required && !isSingle && { min_items: 1 }),
      ...(!isMany && !isSingle && { max_items: 1 }),
      block: nested(source, storage.replace(/List$/, '')),
    };
  }
  const got = gotten(source, holder);
  for (const [name, its] of flags) {
    if (its.required || its.optional) fail(`${source.name}: ${name} is not among the arguments`);
    result.attributes[name] = { type: got.get(name) ?? fail(`${source.name}: ${name} has no type`), ...its };
  }
  result.attributes = Object.fromEntries(Object.entries(result.attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
  if (Object.keys(result.block_types).length === 0) delete result.block_types;
  return result;
}

function nested(source, title) {
  // The provider's own blocks cannot be referred to, so they have no such class.
  const holder = title.startsWith('AwsProvider') ? interfaceOf(source, title) : classOf(source, `${title}OutputReference`);
  return block(source, structure(source, title), holder);
}

/** An interface, its members' flags written as a class has them. */
function interfaceOf(source, title) {
  const text = part(source, new RegExp(`^export interface ${title} \\{[\\s\\S]*?^}`, 'm'), `interface ${title}`);
  const all = [...text.matchAll(/#(\w+) \w+#\1\}\s*\*\/\s*readonly \w+(\??):/g)];
  return all.map(([, name, optional]) => `// ${name} - computed: false, optional: ${optional !== ''}, required: ${optional === ''}`).join('\n');
}

/** The function that writes a structure out tells what is in it. */
function structure(source, title) {
  const writer = title[0].toLowerCase() + title.slice(1) + 'ToHclTerraform';
  return part(source, new RegExp(`^export function ${writer}\\([\\s\\S]*?^}`, 'm'), writer);
}

/** `// arn - computed: true, optional: false, required: false` */
function flagsOf(holder) {
  const lines = holder.matchAll(/^ *\/\/ (\w+) - computed: (true|false), optional: (true|false), required: (true|false)$/gm);
  return new Map([...lines].map(([, name, computed, optional, required]) => [name, {
    ...(required === 'true' && { required: true }),
    ...(optional === 'true' && { optional: true }),
    ...(computed === 'true' && { computed: true }),
  }]));
}

/** What one `const attrs = {…}` lists. */
function members(source, text) {
  const list = text.match(/const attrs = \{\n([\s\S]*?)^ *\};?$/m)?.[1];
  // What has nothing to give has no such list.
  if (list === undefined && /(return|const attrs =) \{\s*\}/.test(text)) return [];
  if (list === undefined) fail(`${source.name}: a list of arguments is not as expected`);
  const found = [...list.matchAll(
    /^ +(\w+): \{\s+value: (.+),\s+isBlock: (true|false),\s+type: "(\w+)",\s+storageClassType: "(\w+)",\s+\},$/gm,
  )].map(([, name, value, isBlock, type, storage]) => ({ name, value, isBlock: isBlock === 'true', type, storage }));
  if (found.length !== (list.match(/storageClassType:/g) ?? []).length) {
    fail(`${source.name}: a list of arguments is not read whole`);
  }
  return found;
}

/** An argument's type as Terraform says it. */
function typeOf(source, type, storage) {
  if (type === 'simple') return SIMPLE[storage] ?? fail(`${source.name}: a simple ${storage}`);
  const element = storage.match(/^(string|number|boolean|any)(List|Map)$/);
  if (element !== null) return [type, SIMPLE[element[1]]];
  if (type === 'struct') return objectOf(source, storage);
  if (['list', 'set'].includes(type) && /^[A-Z]\w+List$/.test(storage)) {
    return [type, objectOf(source, storage.replace(/List$/, ''))];
  }
  return fail(`${source.name}: a ${type} of ${storage}`);
}

/** Objects in what is no block. */
function objectOf(source, title) {
  const { attributes, block_types } = nested(source, title);
  if (block_types !== undefined) fail(`${source.name}: ${title} is no block and holds blocks`);
  return ['object', Object.fromEntries(Object.entries(attributes).map(([name, { type }]) => [name, type]))];
}

/** The types of what a class lets one refer to: `aws_x.y.NAME`, or within a block. */
function gotten(source, holder) {
  const all = new Map();
  for (const [, toSet, method, name] of holder.matchAll(
    /return (cdktn\.Fn\.tolist\()?this\.(get\w+Attribute|interpolationForAttribute)\('(\w+)'\)/g,
  )) {
    const type = GETTERS[method] ?? fail(`${source.name}: ${name} is got by ${method}`);
    all.set(name, toSet === undefined ? type : ['set', type[1]]);
  }
  for (const [, title, name] of holder.matchAll(/= new cdktn\.(\w+)\(this, "(\w+)"/g)) {
    all.set(name, HELD[title] ?? fail(`${source.name}: ${name} is a ${title}`));
  }
  for (const [, title, name, isSet] of holder.matchAll(/= new (\w+)List\(this, "(\w+)", (true|false)\)/g)) {
    // Those that can be given, blocks mostly, are known already.
    const isComputed = !flagsOf(holder).get(name)?.optional && !flagsOf(holder).get(name)?.required;
    if (isComputed) all.set(name, [isSet === 'true' ? 'set' : 'list', objectOf(source, title)]);
  }
  return all;
}

/** One line a resource, so that a new version shows in a diff what it changed. */
function write() {
  const section = (entries) =>
    Object.entries(entries).map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)}`).join(',\n');
  const origin = {
    package: `${manifest.name}@${manifest.version} (npm, ${manifest.license})`,
    provider: `hashicorp/aws ${[...versions][0]}`,
    made_by: 'make infra-schema',
  };
  writeFileSync(output, `{
  "origin": ${JSON.stringify(origin)},
  "provider": ${JSON.stringify(schema.provider)},
  "resource_schemas": {
${section(schema.resource_schemas)}
  },
  "data_source_schemas": {
${section(schema.data_source_schemas)}
  }
}
`);
}
