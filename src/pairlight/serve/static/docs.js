// Shows openapi.json as a page, without anything from elsewhere.
"use strict";

const $ = (id) => document.getElementById(id);
let schemas = {};

function made(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

// `code` between backquotes; the rest as it is.
function written(tag, text) {
  const node = made(tag);
  text.split("`").forEach((part, place) => node.append(place % 2 ? made("code", part) : part));
  return node;
}

const solved = (schema) =>
  schema?.$ref ? schemas[schema.$ref.split("/").pop()] : schema || {};

function typeOf(schema) {
  if (schema?.$ref) return schema.$ref.split("/").pop();
  if (schema?.anyOf) return schema.anyOf.map(typeOf).filter((each) => each !== "null").join(" or ");
  if (schema?.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema?.contentMediaType || schema?.format === "binary") return "file";
  return schema?.type || "any";
}

function bounds(schema) {
  const all = [schema, ...(schema.anyOf || [])];
  const first = (key) => all.map((each) => each[key]).find((value) => value !== undefined);
  const told = [];
  const least = first("minimum"), most = first("maximum"), length = first("maxLength");
  if (least !== undefined && most !== undefined) told.push(`${least} to ${most}`);
  else if (least !== undefined) told.push(`at least ${least}`);
  if (length !== undefined) told.push(`up to ${length} characters`);
  if (first("maxItems") !== undefined) told.push(`up to ${first("maxItems")}`);
  if (schema.default !== undefined && schema.default !== null) told.push(`default ${schema.default}`);
  return told.length ? `(${told.join(", ")})` : "";
}

function table(rows, heads) {
  const scroll = made("div", undefined, "scroll"), whole = made("table");
  const head = whole.createTHead().insertRow();
  for (const each of heads) head.append(made("th", each));
  const body = whole.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((each, place) => {
      const cell = line.insertCell();
      cell.append(place === 0 ? made("code", each) : written("span", each));
    });
  }
  scroll.append(whole);
  return scroll;
}

function parametersOf(operation) {
  const given = (operation.parameters || []).map((each) => [each.name, each.schema, each.description]);
  const form = operation.requestBody?.content["multipart/form-data"]?.schema;
  for (const [name, schema] of Object.entries(solved(form).properties || {})) {
    given.push([name, schema, schema.description]);
  }
  return given.map(([name, schema, about]) => [
    name, typeOf(schema), [about || schema.description || "", bounds(schema)].filter(Boolean).join(" "),
  ]);
}

function example(method, path, operation) {
  const address = location.origin + path.replace("{id}", "7");
  const curl = operation.security ? 'curl -H "Authorization: Bearer $TOKEN"' : "curl";
  if (operation.requestBody) return `${curl} -F image=@photo.jpg -F k=10 ${address}`;
  if (path.endsWith("/search")) return `${curl} -G --data-urlencode "text=a dog on the beach" ${address}`;
  if (path.includes("/photos/")) return `${curl} -o photo.jpg ${address}`;
  return `${curl} ${address}`;
}

function shown(path, method, operation) {
  const section = made("section"), title = made("h2");
  title.append(made("span", method.toUpperCase(), "method"), " ", made("code", path));
  section.append(title, written("p", `${operation.summary}. ${operation.description || ""}`));
  section.append(made("pre", example(method, path, operation)));
  const parameters = parametersOf(operation);
  if (parameters.length) section.append(table(parameters, ["parameter", "type", ""]));
  const answers = Object.entries(operation.responses).map(([code, answer]) => [
    code, answer.description.replace("Successful Response", "Done."),
    Object.values(answer.content || {}).map((each) => typeOf(each.schema)).join("") ||
      Object.keys(answer.content || {}).join(""),
  ]);
  section.append(table(answers, ["answer", "", ""]));
  return section;
}

function schemaShown(name, schema) {
  const section = made("section");
  section.append(made("h2", name), written("p", schema.description || ""));
  section.append(table(
    Object.entries(schema.properties || {}).map(([key, each]) => [key, typeOf(each), each.description || ""]),
    ["field", "type", ""],
  ));
  return section;
}

function waysIn(schemes) {
  const section = made("section");
  section.append(made("h2", "The token"), written("p", "Every address under `/api` needs it, in one of these ways:"));
  section.append(table(
    Object.values(schemes).map((each) => [
      each.type === "http" ? "Authorization" : each.name, each.type === "http" ? "header" : each.in, each.description,
    ]),
    ["name", "in", ""],
  ));
  return section;
}

async function start() {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error((await response.json()).error);
  const api = await response.json();
  schemas = api.components.schemas;
  $("title").textContent = `${api.info.title} ${api.info.version}`;
  $("about").append(written("span", api.info.description));
  const schemes = api.components.securitySchemes;
  if (schemes) $("operations").append(waysIn(schemes));
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      $("operations").append(shown(path, method, operation));
    }
  }
  for (const name of ["Answer", "FoundPhoto", "Photo", "Stats", "Failure"]) {
    if (schemas[name]) $("operations").append(schemaShown(name, schemas[name]));
  }
}

start().catch((error) => {
  $("failed").textContent = error.message;
  $("failed").hidden = false;
});
