"""Write chat_templates.jsonl: chat templates, conversations, and what transformers makes of them.

usage: chat_templates.py SmolLM2-135M-Instruct.gguf OUT.jsonl   (needs the PyPI packages gguf and transformers)
"""

import json
import sys

import gguf
from transformers.utils.chat_template_utils import render_jinja_template

LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
    "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + "
    "'\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
BLOCKS = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{#- a comment #}
{%- set ns = namespace(count=0) -%}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none and tools is defined %}tools{% endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
  {% for message in messages %}
    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
        {%- set ns.count = ns.count + 1 %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
    {%- if loop.last and message.role == 'user' and message.content.startswith('Hi') %}{{ message.content.split(' ')[-1].upper() }}{% endif %}
  {% endfor %}
{{ ns.count }} {{ messages | length }} {{ {"a": [1, 2.5, none], "b": "<é>&'"} | tojson }}
{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x > 4 %}{% break %}{% endif %}{{ x }}{% endfor %}

{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
GENERATION = (
    "{% for message in messages %}\n{% if message.role == 'assistant' %}\n{%- generation -%}\n{{ message.content }}"
    "{{ eos_token }}\n{%- endgeneration -%}\n{% else %}\n<{{ message.role | upper }}>{{ message.content }}\n{% endif %}"
    "\n{% endfor %}"
)


def chat(*turns):
    return [{"role": role, "content": content} for role, content in turns]


CHATS = [
    chat(("user", "Hello")),
    chat(("system", "Be brief."), ("user", "  Hi there \n")),
    chat(("user", "1+1?"), ("assistant", " 2 "), ("user", "Hi é <b>&amp;</b> {{ x }}")),
    chat(("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "")),
]
CONTINUED = [chat(("user", "Count"), ("assistant", "One, two")), chat(("system", "S"), ("user", "a"), ("assistant", "Hi x"))]


def main(path, out):
    own = gguf.GGUFReader(path).fields["tokenizer.chat_template"].contents()
    with open(out, "w", encoding="utf-8") as file:
        for name, template in dict(smollm2=own, llama2=LLAMA2, llama3=LLAMA3, blocks=BLOCKS, generation=GENERATION).items():
            for messages in CHATS + CONTINUED:
                going_on = messages[-1]["role"] == "assistant"
                rendered, _ = render_jinja_template(
                    [messages], chat_template=template, add_generation_prompt=not going_on, continue_final_message=going_on,
                    bos_token="<s>", eos_token="</s>",
                )
                row = dict(name=name, template=template, messages=messages, text=rendered[0])
                file.write(json.dumps(row) + "\n")


main(*sys.argv[1:])
