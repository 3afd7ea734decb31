// Writes tests/fixtures/aws_provider.json: what the AWS provider for Terraform takes
// and gives, for the resources and data sources that a stack like ours uses.
//
//   @cdktf/provider-aws (npm) ── typings (.d.ts) ──▶ names, types, required, blocks
//                             └─ code (.js) ───────▶ names of attributes to refer to
//
// The package is generated from the provider's own schema, and its typings keep the
// names of that schema in links to the provider's documentation. Anything here that
// does not look as expected ends the run: a silent gap would let mistakes through.
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

const [folder, infra, output] = process.argv.slice(2);
if (output === undefined) fail('usage: extract_schema.mjs PACKAGE_FOLDER INFRA_FOLDER OUTPUT');
const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const versions = new Set();

const schema = { resources: {}, data: {} };
for (const name of names('resource', RESOURCES)) schema.resources[`aws_${name}`] = read(name, false);
for (const name of names('data', DATA)) schema.data[`aws_${name}`] = read(name, true);
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
  const typings = readFileSync(join(directory, 'index.d.ts'), 'utf8');
  const code = readFileSync(join(directory, 'index.js'), 'utf8');
  for (const [, version] of typings.matchAll(/providers\/hashicorp\/aws\/(\d+\.\d+\.\d+)\//g)) {
    versions.add(version);
  }
  const interfaces = new Map();
  for (const [, title, members] of typings.matchAll(
    /^export interface (\w+)(?: extends [\w.]+)? \{\n([\s\S]*?)^\}/gm,
  )) interfaces.set(title, members);
  const type = typings.match(/class (\w+) extends cdktf\.Terraform(?:Resource|DataSource)/)?.[1];
  if (type === undefined) fail(`aws_${name}: no class`);
  return { ...body(interfaces, `${type}Config`, name, code), exports: exported(code, type, name) };
}

/** Arguments and blocks of one interface. */
function body(interfaces, title, resource, code) {
  // A data source without any argument has no configuration of its own.
  const members = interfaces.get(title);
  if (members === undefined && title.endsWith('Config')) return { arguments: {}, required: [], blocks: {} };
  if (members === undefined) fail(`aws_${resource}: no interface ${title}`);
  const read = { arguments: {}, required: [], blocks: {} };
  const member = /\/\*\*([\s\S]*?)\*\/\s*readonly (\w+)(\??): ([^;]+);/g;
  let found = 0;
  for (const [, doc, property, optional, type] of members.matchAll(member)) {
    found += 1;
    const name = doc.match(/#(\w+) \w+#\1\}/)?.[1];
    if (name === undefined) fail(`aws_${resource}: ${title}.${property} does not say its name`);
    const isBlock = new RegExp(`^\\s*\\* ${name} block$`, 'm').test(doc);
    const plain = type.replaceAll(' | cdktf.IResolvable', '').trim();
    const element = plain.replace(/\[\]$/, '');
    if (isBlock) {
      const block = body(interfaces, element, resource, code);
      const computed = exported(code, `${element}OutputReference`, resource).filter(
        (it) => !(it in block.arguments) && !(it in block.blocks),
      );
      read.blocks[name] = { many: plain.endsWith('[]'), ...block, ...(computed.length > 0 && { computed }) };
    } else {
      read.arguments[name] = simple(plain, interfaces) ?? fail(`aws_${resource}: ${property}: ${type}`);
    }
    if (optional === '') read.required.push(name);
  }
  if (found !== (members.match(/^\s+readonly /gm) ?? []).length) fail(`aws_${resource}: ${title} is not read whole`);
  return read;
}

/** The type as Terraform would say it; nested objects are not looked into. */
function simple(type, interfaces) {
  if (type.endsWith('[]')) {
    const element = simple(type.slice(0, -2), interfaces);
    return element && `list(${element})`;
  }
  if (type.startsWith('Array<')) return `list(${simple(type.slice(6, -1), interfaces) ?? 'any'})`;
  const map = type.match(/^\{ \[key: string\]: (.+)$/s) ?? type.match(/^\{\s*\[key: string\]: \(?([^;]+)/s);
  if (map) return 'map';
  if (['string', 'number', 'boolean', 'any'].includes(type)) return type;
  if (type === '(boolean)') return 'boolean';
  return interfaces.has(type) ? 'object' : undefined;
}

/** What can be referred to: `aws_x.y.NAME`, or within a block. */
function exported(code, type, resource) {
  const own = code.match(new RegExp(`^class ${type} extends[\\s\\S]*?^}`, 'm'))?.[0];
  if (own === undefined) fail(`aws_${resource}: no class ${type} in the code`);
  const all = new Set();
  for (const [, name] of own.matchAll(/this\.(?:get\w+Attribute|interpolationForAttribute)\('(\w+)'\)/g)) all.add(name);
  for (const [, name] of own.matchAll(/= new (?:\w+|cdktf\.\w+)\(this, "(\w+)"/g)) all.add(name);
  return [...all].sort();
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
  "resources": {
${section(schema.resources)}
  },
  "data": {
${section(schema.data)}
  }
}
`);
}
