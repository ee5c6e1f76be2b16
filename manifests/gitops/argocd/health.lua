-- The health of a FastAPIService by its conditions, as kstatus defines them. Argo CD treats an
-- unknown kind as healthy; with this check it waits until the operator has observed the generation.
if obj.metadata.deletionTimestamp ~= nil then
  return {status = "Progressing", message = "being deleted"}
end
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "waiting for the operator"}
end
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end
local ready = found.Ready or {}
if obj.spec.suspend then
  return {status = "Suspended", message = ready.message}
end
if found.Stalled ~= nil and found.Stalled.status == "True" then
  return {status = "Degraded", message = found.Stalled.message}
end
-- While a canary runs, Ready is about the released version. Argo CD has no functions for strings.
local canary = {
  CanaryWaiting = true, CanaryStarting = true, CanaryProgressing = true, CanaryHolding = true,
  CanaryPromoting = true, CanaryEnding = true,
}
local reconciling = found.Reconciling or {}
if reconciling.status == "True" and canary[reconciling.reason or ""] then
  return {status = "Progressing", message = reconciling.message}
end
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
return {status = "Progressing", message = ready.message}
