"""Uses every part of the server with OpenAI's own client: openai_client.py http://127.0.0.1:PORT/v1"""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
model = client.models.list().data[0].id
assert client.models.retrieve(model).id == model
chat = {"model": model, "messages": [{"role": "user", "content": "Count to five."}], "max_tokens": 12, "temperature": 0}

# Chats, whole and as streams, with skiplens' own fields.
answer = client.chat.completions.create(
    **chat,
    n=2,
    logprobs=True,
    top_logprobs=3,
    extra_body={"exit_layer": 8, "num_speculations": 3, "skiplens": {"detail": True}},
)
first, second = answer.choices
assert first.message.role == "assistant" and first.message.content == second.message.content
assert first.finish_reason in ("stop", "length") and answer.usage.completion_tokens == 2 * len(first.skiplens["tokens"])
assert all(token.logprob == token.top_logprobs[0].logprob for token in first.logprobs.content)
assert answer.timings["draft_n"] > 0 and answer.metrics is None
assert {token["origin"] for token in first.skiplens["tokens"]} <= {"accepted", "corrected", "bonus", "plain"}
text, usage = "", None
for chunk in client.chat.completions.create(**chat, stream=True, stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    text += "".join(choice.delta.content or "" for choice in chunk.choices)
assert text == first.message.content, (text, first.message.content)
assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
raw = client.chat.completions.with_raw_response.create(**chat)
assert raw.headers["x-request-id"] and raw.parse().metrics["speculative_decoding"]["num_spec_steps"] > 0

# Completions of several prompts; choice i has seed + i.
completion = {"model": model, "max_tokens": 6, "temperature": 0.8}
several = client.completions.create(**completion, prompt=["One two", "Three"], n=2, seed=3, echo=True, logprobs=2)
assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
alone = client.completions.create(**completion, prompt="One two", seed=4)
assert several.choices[1].text == "One two" + alone.choices[0].text
for choice in several.choices:
    logs = choice.logprobs
    assert logs.token_logprobs[0] is None and len(logs.tokens) == len(logs.text_offset)
    assert choice.text[logs.text_offset[1] :].startswith(logs.tokens[1])
streamed = client.completions.create(**completion, prompt="One two", seed=4, stream=True)
assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == alone.choices[0].text
stopped = client.completions.create(model=model, prompt="1, 2, 3,", max_tokens=40, temperature=0, stop=[" 7, 8"])
assert " 7, 8" not in stopped.choices[0].text

# Refusals.
for body, param in [
    ({"prompt": "x", "suffix": "y"}, "suffix"),
    ({"prompt": [99_999_999]}, "prompt"),
    ({"prompt": "x", "extra_body": {"exit_layer": "deep"}}, "exit_layer"),
]:
    try:
        client.completions.create(model=model, **body)
        raise AssertionError(body)
    except openai.BadRequestError as error:
        assert error.param == param, (error.param, error)
try:
    client.models.retrieve("another")
    raise AssertionError("there is one model")
except openai.NotFoundError as error:
    assert error.code == "model_not_found"

# Leaving in the middle of a stream leaves the server free for others.
with client.completions.create(model=model, prompt="Once", max_tokens=4000, stream=True) as stream:
    next(iter(stream))
client.with_options(timeout=20).completions.create(model=model, prompt="x", max_tokens=1)
print("the openai client is answered as it expects")
