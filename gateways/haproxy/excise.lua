-- Fields of the excise record that HAProxy has no sample for: usage from the response body,
-- parameters and a salted hash chain from the request body, a keyed hash of the credential.
-- Text passes through and is hashed or counted, never kept: only numbers and hashes leave here.
--
-- global: lua-load-per-thread /etc/haproxy/excise/excise.lua   (HAProxy 2.6 or later, Lua 5.3)

local USAGE_BYTES = 1024      -- as much as a usage object is long
local CUT_BYTES = 32          -- its name may be cut between two pieces
local ACCOUNT_DIGITS = 24
local PROMPT_DIGITS = 16
local CHAIN_ENDS = 4          -- of a long chain the first and the last four are told
local END_MESSAGES = 512      -- what is between so many at either end counts as one message
local MOST_DEPTH = 64

local DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for shift = 18, 0, -6 do
      local digit = (n >> shift & 63) + 1
      out[#out + 1] = DIGITS:sub(digit, digit)
    end
    if not c then out[#out] = '=' end
    if not b then out[#out - 1] = '=' end
  end
  return table.concat(out)
end

-- The key is read while HAProxy is root still; it does not leave this file.
local function load_key()
  local path = os.getenv('EXCISE_KEY_FILE') or '/etc/haproxy/excise/key'
  local file = io.open(path)
  local key = file and file:read('a'):match('^%s*(.-)%s*$') or ''
  if file then file:close() end
  if #key < 16 then
    error('excise: ' .. path .. ' holds no key; make one with: openssl rand -hex 32')
  end
  return base64(key)
end

local KEY = load_key()

local function keyed(txn, purpose, text, digits)
  local digest = txn.c:hmac(purpose .. '\0' .. text, 'sha256', KEY)
  return txn.c:hex(digest):sub(1, digits):lower()
end

-- JSON as JSON.stringify writes it, read from text: (that, position behind it), or an error.
local value

local function utf8_of(high, low)
  local code = tonumber(high, 16)
  if low then code = 0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00 end
  return utf8.char(code)
end

local SHORT = { [8] = '\\b', [9] = '\\t', [10] = '\\n', [12] = '\\f', [13] = '\\r',
                [34] = '\\"', [92] = '\\\\' }

local function unescape(text)
  text = text:gsub('\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)', utf8_of)
  text = text:gsub('(\\*)(\\u(%x%x%x%x))', function(before, whole, hex)
    local code = tonumber(hex, 16)
    if #before % 2 == 1 or (code >= 0xD800 and code < 0xE000) then return nil end
    if SHORT[code] then return before .. SHORT[code] end
    return before .. (code < 32 and whole:lower() or utf8_of(hex))
  end)
  return (text:gsub('(\\+)/', function(before)
    return #before % 2 == 1 and before:sub(2) .. '/' or nil
  end))
end

local function string_at(text, at)
  local i = at + 1
  while true do
    local stop = text:find('["\\]', i)
    if not stop then error('cut short') end
    if text:byte(stop) == 34 then
      local found = text:sub(at, stop)
      return found:find('\\', 1, true) and unescape(found) or found, stop + 1
    end
    i = stop + 2
  end
end

local function skip(text, at)
  return text:find('[^ \t\r\n]', at) or error('cut short')
end

-- Calls `each(key or nil, value text)` for what is inside an object or a list.
local function inside(text, at, depth, each)
  local open = text:sub(at, at)
  local close = open == '{' and '}' or ']'
  at = skip(text, at + 1)
  if text:sub(at, at) == close then return at + 1 end
  while true do
    local key, item
    if open == '{' then
      key, at = string_at(text, at)
      at = skip(text, skip(text, at) + 1)
    end
    item, at = value(text, at, depth + 1)
    each(key, item)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == close then return at + 1 end
    if mark ~= ',' then error('no JSON') end
    at = skip(text, at + 1)
  end
end

value = function(text, at, depth)
  if depth > MOST_DEPTH then error('too deep') end
  local first = text:sub(at, at)
  if first == '"' then return string_at(text, at) end
  if first == '{' or first == '[' then
    local parts = {}
    local after = inside(text, at, depth, function(key, item)
      parts[#parts + 1] = key and key .. ':' .. item or item
    end)
    local joined = table.concat(parts, ',')
    return first == '{' and '{' .. joined .. '}' or '[' .. joined .. ']', after
  end
  local plain = text:match('^[%w+.-]+', at) or error('no JSON')
  return plain, at + #plain
end

local function fields_of(text)
  local fields = {}
  local at = skip(text, 1)
  if text:sub(at, at) ~= '{' then error('no JSON') end
  inside(text, at, 0, function(key, item) fields[key:sub(2, -2)] = item end)
  return fields
end

local function elements(list)
  local found = {}
  if not list or list == 'null' then return found end
  if list:sub(1, 1) ~= '[' then return { list } end
  inside(list, 1, 0, function(_, item) found[#found + 1] = item end)
  return found
end

local function present(item)
  return item and item ~= 'null' and item ~= '""' and item ~= 'false' and item ~= '0'
end

-- Chat completions, responses, messages with a separate system prompt, plain completions.
local function chain(txn, fields)
  local said = {}
  local system = present(fields.system) and fields.system or fields.instructions
  if present(system) then said[1] = system end
  local list = present(fields.messages) and fields.messages
    or present(fields.input) and fields.input or fields.prompt
  for _, message in ipairs(elements(list)) do said[#said + 1] = message end
  if #said > 2 * END_MESSAGES + 1 then
    local middle = '[' .. table.concat(said, ',', END_MESSAGES + 1, #said - END_MESSAGES) .. ']'
    local few = table.move(said, 1, END_MESSAGES, 1, { })
    few[END_MESSAGES + 1] = middle
    said = table.move(said, #said - END_MESSAGES + 1, #said, END_MESSAGES + 2, few)
  end
  local link, links = '', {}
  for i, message in ipairs(said) do
    link = keyed(txn, 'prompt', link .. message, PROMPT_DIGITS)
    if i <= CHAIN_ENDS or i > #said - CHAIN_ENDS then links[#links + 1] = link end
  end
  return table.concat(links, '","')
end

local function number(item)
  return item and item:match('^[%d.]+[eE]?[+-]?%d*$') and item or ''
end

local function logprobs(fields)
  if fields.logprobs ~= 'true' then return number(fields.logprobs) end
  local top = number(fields.top_logprobs)
  return (top == '' or top == '0') and '1' or top
end

local function logit_bias(fields)
  local bias, count = fields.logit_bias, 0
  if not bias or bias:sub(1, 1) ~= '{' then return '' end
  inside(bias, 1, 0, function() count = count + 1 end)
  return tostring(count)
end

local function tell_request(txn)
  local ok, fields = pcall(fields_of, txn.f:req_body() or '')
  if not ok then return end -- no JSON, or too large for tune.bufsize: not known
  -- What would have to be escaped in the log is no model's name.
  local model = fields.model and fields.model:match('^"([^%c"\\]*)"$')
  if model then txn:set_var('txn.excise_model', model) end
  local most = present(fields.max_completion_tokens) and fields.max_completion_tokens
    or fields.max_tokens
  txn:set_var('txn.excise_max_tokens', number(most))
  txn:set_var('txn.excise_n', number(fields.n))
  txn:set_var('txn.excise_temperature', number(fields.temperature))
  txn:set_var('txn.excise_logprobs', logprobs(fields))
  txn:set_var('txn.excise_logit_bias', logit_bias(fields))
  local stream = fields.stream
  txn:set_var('txn.excise_stream', (stream == 'true' or stream == 'false') and stream or '')
  txn:set_var('txn.excise_prompt', chain(txn, fields))
end

core.register_action('excise-account', { 'http-req' }, function(txn)
  local credential = txn.f:req_hdr('authorization') or txn.f:req_hdr('x-api-key')
  if credential and credential ~= '' then
    txn:set_var('txn.excise_account', keyed(txn, 'account', credential, ACCOUNT_DIGITS))
  end
end)

core.register_action('excise-request', { 'http-req' }, function(txn)
  local ok, problem = pcall(tell_request, txn)
  if not ok then core.Debug('excise: ' .. tostring(problem)) end
end)

-- Sees the response pass. One object for each stream; data goes on as it came.
local Watch = { id = 'excise usage', flags = filter.FLT_CFG_FL_HTX }
Watch.__index = Watch

function Watch:new()
  return setmetatable({ cut = '', usage = '', events = 0, readable = true }, Watch)
end

function Watch:start_analyze(txn, channel)
  if channel:is_resp() then filter.register_data_filter(self, channel) end
end

function Watch:http_headers(txn, message)
  if message:is_resp() then
    self.readable = message:get_headers()['content-encoding'] == nil
  end
end

-- Keeps the last usage object from its name on. Quotes inside generated text are escaped in JSON,
-- so a prompt cannot write one; what a client may have echoed behind it (metadata) is text only.
function Watch:see(data)
  if self.usage ~= '' and #self.usage < USAGE_BYTES then
    self.usage = self.usage .. data:sub(1, USAGE_BYTES - #self.usage)
  end
  local seen = self.cut .. data
  local at = seen:find('"usage"%s*:%s*{')
  while at do
    self.usage = seen:sub(at, at + USAGE_BYTES - 1)
    at = seen:find('"usage"%s*:%s*{', at + 1)
  end
  self.cut = seen:sub(-CUT_BYTES)
  local _, events = data:gsub('\ndata: {', '')
  self.events = self.events + events + (data:sub(1, 7) == 'data: {' and 1 or 0)
end

-- A stream that was cut off never tells its usage: its events are then the tokens sent so far.
function Watch:http_payload(txn, message)
  if not message:is_resp() or not self.readable then return end
  local data = message:body()
  if not data or data == '' then return end
  self:see(data)
  if self.events > 0 then
    txn:set_var('txn.excise_output_tokens', tostring(self.events))
  end
end

local COUNTS = {
  { 'input_tokens', 'input_tokens' }, { 'input_tokens', 'prompt_tokens' },
  { 'output_tokens', 'output_tokens' }, { 'output_tokens', 'completion_tokens' },
  { 'reasoning_tokens', 'reasoning_tokens' }, { 'cached_tokens', 'cached_tokens' },
}

function Watch:http_end(txn, message)
  if not message:is_resp() then return end
  for _, pair in ipairs(COUNTS) do
    local count = self.usage:match('"' .. pair[2] .. '"%s*:%s*(%d+)')
    if count then txn:set_var('txn.excise_' .. pair[1], count) end
  end
end

core.register_filter('excise', Watch, function(watch) return watch end)
