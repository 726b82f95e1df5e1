// The types of requests and answers by path, and names for those of openapi.json.
import type { ParamsOption, RequestBodyOption } from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];

export type Account = Schemas["AccountResponse"];
export type ApiKey = Required<Schemas["ApiKeyFields"]>;
export type ApiKeyLimits = Schemas["ApiKeyLimits"];
export type Asset = Schemas["Asset"];
export type AssetType = Schemas["AssetTypesResponse"]["items"][number];
export type AssetUpload = Schemas["AssetUploadResponse"];
export type EmbeddedUser = Schemas["EmbeddedUser"];
export type Folder = Schemas["Folder"];
export type FolderWithPath = Schemas["FolderWithPath"];
export type NewApiKey = Schemas["NewApiKey"];
/** With `secret`, which is shown this once. */
export type NewWebhook = Schemas["NewWebhook"];
/** What a start answers: how to send the file. */
export type StartedUpload = Schemas["CreateAssetUploadResponse"];
export type Webhook = Schemas["Webhook"];
export type WebhookDelivery = Schemas["WebhookDelivery"];
export type WebhookDeliveryWithEvent = Schemas["WebhookDeliveryWithEvent"];

/** A page of a list. `next_pq` goes into the query of the next one, and is null at the end. */
export interface Page<Item> {
  items: Item[];
  next_pq: string | null;
  prev_pq: string | null;
}

export type Method = "get" | "post" | "patch" | "delete";

/** The paths that have the method. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends { [K in M]: unknown } ? P : never;
}[keyof paths];

export type OperationOf<P extends keyof paths, M extends Method> = paths[P] extends { [K in M]: infer O } ? O : never;

/** What every request may have besides what its endpoint takes. */
export interface RequestOptions {
  /** Ends the request, its repeats and their pauses at once. */
  signal?: AbortSignal | undefined;
  headers?: Record<string, string>;
}

/** `params` (path, query, header) and `body` of the endpoint. */
export type InitOf<O> = ParamsOption<O> & RequestBodyOption<O> & RequestOptions;

/** `fields` of the query, as a type of its own: without it the answer's items have all of their fields. */
export interface FieldsOf<F extends string> {
  params?: { query?: { fields?: F | undefined } };
}

type Json<R> = R extends { content: { "application/json": infer T } } ? T : undefined;
type Success = 200 | 201 | 202 | 204;
type SuccessOf<O> = O extends { responses: infer R } ? { [S in keyof R & Success]: Json<R[S]> }[keyof R & Success] : never;
type TakesFields<O> = O extends { parameters: { query?: infer Q } } ? ("fields" extends keyof NonNullable<Q> ? true : false) : false;
type Complete<T> = T extends { items: (infer Item)[]; next_pq: string | null } ? Page<Required<Item>> : Required<T>;

/** The JSON of the answer; undefined for 204. */
export type AnswerOf<O, F extends string = never> = [F] extends [never]
  ? TakesFields<O> extends true
    ? Complete<SuccessOf<O>>
    : SuccessOf<O>
  : SuccessOf<O>;

/** The last argument of get, post, patch and delete: needed where the endpoint needs something. */
export type InitArgument<O, F extends string> = {} extends InitOf<O> ? [init?: InitOf<O> & FieldsOf<F>] : [init: InitOf<O> & FieldsOf<F>];
