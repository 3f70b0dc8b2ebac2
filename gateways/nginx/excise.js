// Fields of the excise record that nginx has no variable for: usage from the response body,
// parameters and a salted hash chain from the request body, a keyed hash of the credential.
// Text passes through and is hashed or counted, never kept: only numbers and hashes leave here.
//
// nginx gives each request its own copy of this module, so the variables below are per request.
import crypto from 'crypto';
import fs from 'fs';
import key from 'excise_key.js';

const USAGE_BYTES = 1024; // as much as a usage object is long
const CUT_BYTES = 32; // its name may be cut between two pieces
const ACCOUNT_DIGITS = 24;
const PROMPT_DIGITS = 16;
const CHAIN_ENDS = 4; // of a long chain the first and the last four are told
const END_MESSAGES = 512; // what is between so many at either end counts as one message
const TURN_S = 60; // a throttled account is served for so long, then others have their turns

let events = 0;
let cut = Buffer.alloc(0);
let told = '';
let request = null;
let chain = null;
let claim = null;
let turn = null;

function keyed(purpose, text, digits) {
    return crypto.createHmac('sha256', key).update(purpose + '\0' + text).digest('hex').slice(0, digits);
}

// js_body_filter with buffer_type=buffer: the bytes go on as they came.
function observe(r, data, flags) {
    if (data.length) {
        let at = data.indexOf('data: {');
        while (at !== -1) {
            events++;
            at = data.indexOf('data: {', at + 1);
        }
        watch(data);
    }
    r.sendBuffer(data, flags);
}

// Keeps the last usage object from its name on. Quotes inside generated text are escaped in JSON,
// so a prompt cannot write one; what a client may have echoed behind it (metadata) holds text only.
function watch(data) {
    if (told !== '' && told.length < USAGE_BYTES) {
        told += data.slice(0, USAGE_BYTES - told.length).toString();
    }
    const seen = Buffer.concat([cut, data]);
    let at = seen.indexOf('"usage"');
    while (at !== -1) {
        const text = seen.slice(at, at + USAGE_BYTES).toString();
        if (/^"usage"\s*:\s*\{/.test(text)) told = text;
        at = seen.indexOf('"usage"', at + 1);
    }
    cut = seen.slice(-CUT_BYTES);
}

function usage(names) {
    const found = new RegExp('"(?:' + names + ')"\\s*:\\s*(\\d+)').exec(told);
    return found ? found[1] : '';
}

function parsed(r) {
    if (request === null) {
        try {
            request = JSON.parse(r.variables.request_body) || {};
        } catch (e) {
            request = {}; // not JSON, or too large for client_body_buffer_size: not known
        }
    }
    return request;
}

function number(value) {
    return typeof value === 'number' ? String(value) : '';
}

// Chat completions, responses, messages with a separate system prompt, plain completions.
function messages(body) {
    const said = body.messages || body.input || body.prompt;
    const system = body.system || body.instructions;
    return (system ? [system] : []).concat(said === undefined ? [] : said);
}

function hashes(r) {
    if (chain !== null) return chain;
    let link = '';
    let said = messages(parsed(r));
    if (said.length > 2 * END_MESSAGES + 1) {
        const middle = said.slice(END_MESSAGES, -END_MESSAGES);
        said = said.slice(0, END_MESSAGES).concat([middle], said.slice(-END_MESSAGES));
    }
    chain = said.map((message) => {
        link = keyed('prompt', link + JSON.stringify(message), PROMPT_DIGITS);
        return link;
    });
    if (chain.length > 2 * CHAIN_ENDS) {
        chain = chain.slice(0, CHAIN_ENDS).concat(chain.slice(-CHAIN_ENDS));
    }
    return chain;
}

function prompt_at(r, place) {
    const link = hashes(r)[place];
    return link === undefined ? '' : link;
}

// What the application says wins: it knows which keys belong to one account.
function account(r) {
    const name = r.variables.upstream_http_x_excise_account;
    if (name) return name;
    return r.variables.status === '401' ? '' : claimed(r); // anybody can claim a name
}

function claimed(r) {
    if (claim === null) {
        const credential = r.headersIn['Authorization'] || r.headersIn['X-Api-Key'];
        claim = credential ? keyed('account', credential, ACCOUNT_DIGITS) : '';
    }
    return claim;
}

// `excise verdicts` keeps a file for each account to deny, and for each to throttle; it is good
// until its time of change. Returns its path, nothing if there is none.
function posted(r, verdict) {
    const name = claimed(r);
    if (!name) return '';
    const path = r.variables.excise_verdicts + '/' + name + verdict;
    try {
        // An exception takes njs a third of a millisecond, and most accounts have no file.
        const file = fs.statSync(path, {throwIfNoEntry: false});
        return file && file.mtimeMs > Date.now() ? path : '';
    } catch (e) {
        return ''; // no directory that nginx may look into: nobody is met
    }
}

function denied(r) {
    return posted(r, '.denied') ? '1' : '';
}

// Of a throttled account: whether it has its turn, and the seconds until the next one. The file says
// how many minutes come to a turn. When it is, depends on the account: not all come at once.
function turn_of(r) {
    if (turn !== null) return turn;
    turn = {throttled: false};
    const path = posted(r, '.throttled');
    if (!path) return turn;
    let minutes;
    try {
        minutes = parseInt(fs.readFileSync(path).toString(), 10);
    } catch (e) {
        return turn; // lifted just now
    }
    if (minutes > 0) {
        const at = (Math.floor(Date.now() / 1000) + parseInt(claim.slice(0, 4), 16)) % (minutes * TURN_S);
        turn = {throttled: true, now: at < TURN_S, next: minutes * TURN_S - at};
    }
    return turn;
}

function waits(r) {
    const found = turn_of(r);
    return found.throttled && !found.now ? '1' : '';
}

function throttled(r) {
    return turn_of(r).throttled ? claim : '';
}

// js_header_filter. A 429 of the application is its own, and who is denied was told before.
function retry_after(r) {
    if (turn && turn.throttled && r.status === 429 && !r.variables.upstream_status) {
        r.headersOut['Retry-After'] = String(turn.next);
    }
}

function model(r) {
    const name = r.variables.upstream_http_x_excise_model || parsed(r).model;
    return typeof name === 'string' ? name : '';
}

// A stream that was cut off never told its usage: its events are then the tokens sent so far.
function output_tokens() {
    const count = usage('completion_tokens|output_tokens');
    return count !== '' || events === 0 ? count : String(events);
}

function stream(r) {
    const wish = parsed(r).stream;
    return typeof wish === 'boolean' ? String(wish) : '';
}

function logprobs(r) {
    const body = parsed(r);
    if (typeof body.logprobs === 'number') return String(body.logprobs);
    return body.logprobs === true ? String(body.top_logprobs || 1) : '';
}

function logit_bias(r) {
    const bias = parsed(r).logit_bias;
    return bias && typeof bias === 'object' ? String(Object.keys(bias).length) : '';
}

export default {
    observe, account, model, output_tokens, stream, logprobs, logit_bias,
    denied, waits, throttled, retry_after,
    input_tokens: () => usage('prompt_tokens|input_tokens'),
    reasoning_tokens: () => usage('reasoning_tokens'),
    cached_tokens: () => usage('cached_tokens'),
    max_tokens: (r) => number(parsed(r).max_completion_tokens || parsed(r).max_tokens),
    n: (r) => number(parsed(r).n),
    temperature: (r) => number(parsed(r).temperature),
    prompt0: (r) => prompt_at(r, 0),
    prompt1: (r) => prompt_at(r, 1),
    prompt2: (r) => prompt_at(r, 2),
    prompt3: (r) => prompt_at(r, 3),
    prompt4: (r) => prompt_at(r, 4),
    prompt5: (r) => prompt_at(r, 5),
    prompt6: (r) => prompt_at(r, 6),
    prompt7: (r) => prompt_at(r, 7),
};
