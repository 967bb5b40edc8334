-- What wrk sends: new events, or one event again and again, or batches; DOOR names the path.
local kind, size = os.getenv("KIND"), tonumber(os.getenv("SIZE") or "1")
local mark, n = os.getenv("MARK"), 0
local headers = {["Authorization"] = "Bearer " .. os.getenv("TOKEN"), ["Content-Type"] = "application/json"}
if kind == "lines" then headers["Content-Type"] = "application/x-ndjson" end

local function one()
  n = n + 1
  local name = mark .. (kind == "again" and "" or n)
  return '{"workflow":"checkout","event_type":"payment.failed","occurred_at":"' .. os.getenv("AT") ..
    '","run_id":"' .. name .. '","idempotency_key":"' .. name ..
    '","payload":{"error_code":"payment_timeout","error_message":"The payment provider did not answer in time",' ..
    '"vendor":"stripe","amount":100}}'
end

request = function()
  local items = {}
  for i = 1, size do items[i] = one() end
  local body = items[1]
  if kind == "batch" then body = '{"events":[' .. table.concat(items, ",") .. ']}' end
  if kind == "lines" then body = table.concat(items, "\n") end
  return wrk.format("POST", os.getenv("DOOR"), headers, body)
end

local seen = {}
response = nil
done = function(summary, latency, requests)
  io.write(string.format('RESULT %.1f %.2f %.2f %.2f %d\n', summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.read + summary.errors.timeout + summary.errors.connect))
end
