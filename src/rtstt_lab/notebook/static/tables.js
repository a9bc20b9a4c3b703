/** Made by scripts/make_tables.py from rtstt_lab.protocol; change that, and run `make docs`. */

export const PROTOCOL = "rtstt.v1";

export const MAX_CHUNK_BYTES = 1000000;

export const MAX_DURATION_MS = 60000;

export const NEVER_RETRIED = [4401, 4403, 4404, 4408, 4409, 4413];

export const CLOSED_BY_CLIENT = 4000;

export const LIMITS = {
  "max_chunk_bytes": 1000000,
  "max_session_s": 3600,
  "max_chunks_per_s": 20,
  "max_reconnections_per_h": 60,
  "credit_ms": 120000,
  "max_block_bytes": 8388608,
};

export const SETTINGS = {
  "backoff_s": [1.0, 2.0, 4.0, 8.0, 16.0],
  "connect_timeout_s": 3.0,
  "ping_s": 5.0,
  "silence_s": 10.0,
  "stable_s": 10.0,
  "resend_s": 5.0,
  "max_buffer_bytes": 134217728,
  "max_in_flight": 64,
  "latency_alert_s": 3.0,
  "latency_goal_s": 2.0,
  "reconnections_alert": 3,
  "reconnections_window_s": 120.0,
  "max_retry_after_s": 60.0,
  "block_s": 1.0,
  "block_timeout_s": 30.0,
  "max_block_bytes": 1048576,
  "block_stable_s": 10.0,
  "max_block_stable_s": 300.0,
  "block_patience_s": 86400.0,
};

export const LINK = {
  "connecting": {"opened": "open", "lost": "connecting", "gave_up": "closed", "closed": "closed"},
  "open": {"lost": "reconnecting", "closed": "closed"},
  "reconnecting": {"opened": "open", "lost": "reconnecting", "gave_up": "closed", "closed": "closed"},
  "closed": {},
};

export const PHASE = {
  "idle": {"start": "recording", "stop": "finalizing", "fail": "failed"},
  "recording": {"start": "recording", "resume": "recording", "pause": "paused", "stop": "finalizing", "fail": "failed"},
  "paused": {"pause": "paused", "resume": "recording", "start": "recording", "stop": "finalizing", "fail": "failed"},
  "finalizing": {"stop": "finalizing", "saved": "completed", "fail": "failed"},
  "completed": {},
  "failed": {},
};

export const TERMINAL = ["completed", "failed"];

export const SHOWN = {
  "connecting": {"idle": "connecting", "recording": "connecting", "paused": "connecting", "finalizing": "finalizing", "completed": "completed", "failed": "error"},
  "open": {"idle": "connected", "recording": "recording", "paused": "paused", "finalizing": "finalizing", "completed": "completed", "failed": "error"},
  "reconnecting": {"idle": "reconnecting", "recording": "reconnecting", "paused": "reconnecting", "finalizing": "finalizing", "completed": "completed", "failed": "error"},
  "closed": {"idle": "error", "recording": "error", "paused": "error", "finalizing": "error", "completed": "completed", "failed": "error"},
};

export const RECONCILED = {
  "idle": {"idle": "idle", "recording": "recording", "paused": "paused", "finalizing": "finalizing", "completed": "completed", "failed": "failed"},
  "recording": {"idle": "idle", "recording": "recording", "paused": "paused", "finalizing": "finalizing", "completed": "completed", "failed": "failed"},
  "paused": {"idle": "idle", "recording": "recording", "paused": "paused", "finalizing": "finalizing", "completed": "completed", "failed": "failed"},
  "finalizing": {"idle": "finalizing", "recording": "finalizing", "paused": "finalizing", "finalizing": "finalizing", "completed": "completed", "failed": "failed"},
  "completed": {"idle": "completed", "recording": "completed", "paused": "completed", "finalizing": "completed", "completed": "completed", "failed": "completed"},
  "failed": {"idle": "failed", "recording": "failed", "paused": "failed", "finalizing": "failed", "completed": "failed", "failed": "failed"},
};

export const MESSAGES = {
  "server:session_created": "SessionCreated",
  "server:ack": "ServerAck",
  "server:transcription_partial": "TranscriptionPartial",
  "server:transcription_final": "TranscriptionFinal",
  "server:status": "Status",
  "server:metrics": "Metrics",
  "server:error": "ServerError",
  "server:session_completed": "SessionCompleted",
  "server:ping": "ServerPing",
  "server:pong": "ServerPong",
  "client:audio_chunk": "AudioHeader",
  "client:hello": "ClientHello",
  "client:control": "ClientControl",
  "client:ack": "ClientAck",
  "client:ping": "ClientPing",
  "client:pong": "ClientPong",
};

export const SCHEMAS = {
  "SessionCreated": {"type": "object", "properties": {"type": {"enum": ["server:session_created"]}, "session_id": {"type": "string", "maxLength": 256}, "protocol": {"type": "string", "maxLength": 256}, "model": {"type": "string", "maxLength": 256}, "language": {"anyOf": [{"type": "string", "maxLength": 256}, {"type": "null"}]}, "limits": {"$ref": "Limits"}, "sync": {"$ref": "Sync"}}, "required": ["type", "session_id", "protocol", "model", "language", "limits", "sync"]},
  "Limits": {"type": "object", "properties": {"max_chunk_bytes": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 1000000}, "max_session_s": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 3600}, "max_chunks_per_s": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 20}, "max_reconnections_per_h": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 60}, "credit_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 120000}, "max_block_bytes": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 8388608}}, "required": []},
  "Sync": {"type": "object", "properties": {"token": {"type": "string", "maxLength": 512}, "phase": {"type": "string", "maxLength": 256}, "next_seq": {"type": "integer", "minimum": 0, "maximum": 2147483647}, "committed_seq": {"type": "integer", "minimum": 0, "maximum": 2147483647}, "resume_seq": {"type": "integer", "minimum": 0, "maximum": 2147483647}, "controls": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "last_event": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "received": {"$ref": "Received"}, "credit_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "next_stream": {"type": "integer", "minimum": 0, "maximum": 2147483647, "default": 0}, "audio_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "header_seq": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2147483647}, {"type": "null"}], "default": null}, "end_seq": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2147483647}, {"type": "null"}], "default": null}}, "required": ["token", "phase", "next_seq", "committed_seq", "resume_seq", "controls", "last_event", "received"]},
  "Received": {"type": "object", "properties": {"accepted": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "duplicate": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "rejected": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "lost": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}}, "required": []},
  "ServerAck": {"type": "object", "properties": {"type": {"enum": ["server:ack"]}, "seq": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2147483647}, {"type": "null"}]}, "next_seq": {"type": "integer", "minimum": 0, "maximum": 2147483647}, "missing": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2147483647}, "maxItems": 64, "default": []}, "committed_seq": {"type": "integer", "minimum": 0, "maximum": 2147483647, "default": 0}, "resume_seq": {"type": "integer", "minimum": 0, "maximum": 2147483647, "default": 0}, "credit_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "client_sent_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "received_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "sent_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "received": {"$ref": "Received", "default": {}}, "controls": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}}, "required": ["type", "seq", "next_seq"]},
  "TranscriptionPartial": {"type": "object", "properties": {"type": {"enum": ["server:transcription_partial"]}, "segment": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "revision": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "text": {"type": "string"}, "words": {"type": "array", "items": {"$ref": "WireWord"}}, "committed": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "audio_end_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}}, "required": ["type", "segment", "revision", "text", "words", "committed", "audio_end_ms"]},
  "WireWord": {"type": "object", "properties": {"text": {"type": "string"}, "start_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "end_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "probability": {"type": "number", "minimum": 0, "maximum": 1}}, "required": ["text", "start_ms", "end_ms", "probability"]},
  "TranscriptionFinal": {"type": "object", "properties": {"type": {"enum": ["server:transcription_final"]}, "segment": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "text": {"type": "string"}, "words": {"type": "array", "items": {"$ref": "WireWord"}}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}, "language": {"type": "string", "maxLength": 256}, "audio_end_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "event": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}}, "required": ["type", "segment", "text", "words", "confidence", "language", "audio_end_ms", "event"]},
  "Status": {"type": "object", "properties": {"type": {"enum": ["server:status"]}, "state": {"type": "string", "maxLength": 256}, "phase": {"type": "string", "maxLength": 256}, "controls": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "resumed": {"type": "boolean", "default": false}, "sync": {"anyOf": [{"$ref": "Sync"}, {"type": "null"}], "default": null}, "degraded": {"type": "string", "maxLength": 256, "default": ""}, "alert": {"anyOf": [{"$ref": "Alert"}, {"type": "null"}], "default": null}, "language": {"anyOf": [{"type": "string", "maxLength": 256}, {"type": "null"}], "default": null}, "event": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}}, "required": ["type", "state", "phase"]},
  "Alert": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 256}, "on": {"type": "boolean"}, "value": {"type": "number", "default": 0.0}}, "required": ["name", "on"]},
  "Metrics": {"type": "object", "properties": {"type": {"enum": ["server:metrics"]}, "audio_s": {"type": "number"}, "heard_s": {"type": "number"}, "settled_s": {"type": "number"}, "queue_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "decode_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "cpu_percent": {"type": "number"}, "process_cpu_s": {"type": "number"}, "rss_mb": {"type": "number"}, "ram_available_mb": {"type": "number"}, "gpu": {"type": "string", "maxLength": 256, "default": ""}, "gpu_percent": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": null}, "chunks_per_s": {"type": "number", "default": 0.0}, "received": {"$ref": "Received", "default": {}}, "confidence": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": null}, "errors": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "quality": {"anyOf": [{"$ref": "AudioQuality"}, {"type": "null"}], "default": null}}, "required": ["type", "audio_s", "heard_s", "settled_s", "queue_ms", "decode_ms", "cpu_percent", "process_cpu_s", "rss_mb", "ram_available_mb"]},
  "AudioQuality": {"type": "object", "properties": {"level_dbfs": {"type": "number"}, "peak_dbfs": {"type": "number"}, "clipped_ratio": {"type": "number"}, "noise_dbfs": {"type": "number"}, "speech": {"type": "boolean"}}, "required": ["level_dbfs", "peak_dbfs", "clipped_ratio", "noise_dbfs", "speech"]},
  "ServerError": {"type": "object", "properties": {"type": {"enum": ["server:error"]}, "code": {"type": "string", "maxLength": 256}, "message": {"type": "string"}, "parameters": {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "null"}]}, "default": {}}, "retryable": {"type": "boolean", "default": false}, "fatal": {"type": "boolean", "default": false}, "retry_after_ms": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 9007199254740991}, {"type": "null"}], "default": null}, "seq": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2147483647}, {"type": "null"}], "default": null}, "event": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}}, "required": ["type", "code", "message"]},
  "SessionCompleted": {"type": "object", "properties": {"type": {"enum": ["server:session_completed"]}, "summary": {"$ref": "Summary"}, "event": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}}, "required": ["type", "summary", "event"]},
  "Summary": {"type": "object", "properties": {"duration_s": {"type": "number"}, "words": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "confidence": {"anyOf": [{"type": "number"}, {"type": "null"}]}, "latency": {"anyOf": [{"$ref": "LatencyFigures"}, {"type": "null"}]}, "received": {"$ref": "Received"}, "file": {"type": "string"}, "complete": {"type": "boolean"}, "language": {"anyOf": [{"type": "string", "maxLength": 256}, {"type": "null"}]}, "process_cpu_s": {"type": "number", "default": 0.0}}, "required": ["duration_s", "words", "confidence", "latency", "received", "file", "complete", "language"]},
  "LatencyFigures": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "mean_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "p50_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "p95_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}}, "required": ["n", "mean_ms", "p50_ms", "p95_ms"]},
  "ServerPing": {"type": "object", "properties": {"type": {"enum": ["server:ping"]}, "sent_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}}, "required": ["type", "sent_ms"]},
  "ServerPong": {"type": "object", "properties": {"type": {"enum": ["server:pong"]}, "sent_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "server_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}}, "required": ["type", "sent_ms", "server_ms"]},
  "AudioHeader": {"type": "object", "properties": {"type": {"enum": ["client:audio_chunk"]}, "seq": {"type": "integer", "minimum": 0, "maximum": 2147483647}, "stream": {"type": "integer", "minimum": 0, "maximum": 2147483646}, "bytes": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "crc32": {"type": "integer", "minimum": 0, "maximum": 4294967295}, "duration_ms": {"type": "integer", "minimum": 0, "maximum": 60000}, "captured_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "sent_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "mime": {"anyOf": [{"type": "string", "maxLength": 256}, {"type": "null"}], "default": null}, "lost": {"type": "boolean", "default": false}, "header": {"type": "boolean", "default": false}}, "required": ["type", "seq", "stream", "bytes", "crc32", "duration_ms", "captured_ms", "sent_ms"]},
  "ClientHello": {"type": "object", "properties": {"type": {"enum": ["client:hello"]}, "token": {"type": "string", "maxLength": 512}, "last_event": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "held": {"anyOf": [{"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [{"type": "integer", "minimum": 0, "maximum": 2147483647}, {"type": "integer", "minimum": 0, "maximum": 2147483647}], "items": false}, {"type": "null"}], "default": null}, "protocol": {"type": "string", "maxLength": 256, "default": "rtstt.v1"}, "resuming": {"type": "boolean", "default": false}, "attempt": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}}, "required": ["type", "token"]},
  "ClientControl": {"type": "object", "properties": {"type": {"enum": ["client:control"]}, "action": {"enum": ["flush", "pause", "resume", "start", "stop"]}, "n": {"type": "integer", "minimum": 1, "maximum": 2147483647}, "at_seq": {"type": "integer", "minimum": 0, "maximum": 2147483647}}, "required": ["type", "action", "n", "at_seq"]},
  "ClientAck": {"type": "object", "properties": {"type": {"enum": ["client:ack"]}, "event": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}, "latency": {"anyOf": [{"$ref": "LatencyFigures"}, {"type": "null"}], "default": null}}, "required": ["type", "event"]},
  "ClientPing": {"type": "object", "properties": {"type": {"enum": ["client:ping"]}, "sent_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}}, "required": ["type", "sent_ms"]},
  "ClientPong": {"type": "object", "properties": {"type": {"enum": ["client:pong"]}, "sent_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991}}, "required": ["type", "sent_ms"]},
  "BlockReceipt": {"type": "object", "properties": {"ack": {"$ref": "ServerAck"}, "phase": {"type": "string", "maxLength": 256}, "header_seq": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2147483647}, {"type": "null"}], "default": null}, "token": {"anyOf": [{"type": "string", "maxLength": 512}, {"type": "null"}], "default": null}, "events": {"type": "array", "items": {"anyOf": [{"$ref": "TranscriptionFinal"}, {"$ref": "Status"}, {"$ref": "ServerError"}, {"$ref": "SessionCompleted"}], "discriminator": {"propertyName": "type", "mapping": {"server:transcription_final": "TranscriptionFinal", "server:status": "Status", "server:error": "ServerError", "server:session_completed": "SessionCompleted"}}}, "default": []}, "rejected": {"type": "array", "items": {"$ref": "RejectedRecord"}, "default": []}, "last_event": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "next_stream": {"type": "integer", "minimum": 0, "maximum": 2147483647, "default": 0}, "audio_ms": {"type": "integer", "minimum": 0, "maximum": 9007199254740991, "default": 0}, "end_seq": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2147483647}, {"type": "null"}], "default": null}}, "required": ["ack", "phase"]},
  "RejectedRecord": {"type": "object", "properties": {"seq": {"type": "integer", "minimum": 0, "maximum": 2147483647}, "code": {"type": "string", "maxLength": 256}, "message": {"type": "string"}}, "required": ["seq", "code", "message"]},
  "ChunksLost": {"type": "object", "properties": {"first": {"type": "integer", "minimum": 0, "maximum": 2147483647}, "last": {"type": "integer", "minimum": 0, "maximum": 2147483647}, "reason": {"enum": ["buffer_full", "given_up", "not_received", "session_over", "too_large", "unreadable"]}}, "required": ["first", "last", "reason"]},
};
