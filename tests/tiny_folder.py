"""The tiny transformer as a folder that can be served, and adapters on it."""

import warnings

import tiny_model
import torch
from lamarck.training.adapters import save, weights_id
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

TEMPLATE = "{% for m in messages %}{{ m['content'] }} <end> {% endfor %}"


def base(folder, seed=0, template=TEMPLATE):
    """Save a model that can be asked, with room for 4096 tokens."""
    net = tiny_model.model(seed)
    net.config.max_position_embeddings = 4096
    net.save_pretrained(folder)
    tokenizer = tiny_model.tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def lora(folder, seed=0, scale=0.3, alpha=8, rank=4):
    """Return the model of a folder with an adapter drawn at random; at `scale` 0 it changes nothing."""
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers in a way that will go
        net = AutoModelForCausalLM.from_pretrained(folder)
        torch.manual_seed(seed)
        net = get_peft_model(net, LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear"))
    with torch.no_grad():
        for name, value in net.named_parameters():
            if "lora_B" in name:
                value.normal_(0.0, scale)
    return net.eval()


def adapter(model_folder, folder, seed=0, parent=None, **shape):
    """Save such an adapter."""
    return save(
        lora(model_folder, seed, **shape),
        folder,
        base_model=model_folder.name,
        base_weights=weights_id(model_folder),
        parent=parent,
        kind="sft",
    )


def drop(folder, name):
    """Take one of the weights out of a model's file."""
    file = folder / "model.safetensors"
    kept = {key: value for key, value in load_file(file).items() if key != name}
    save_file(kept, file, metadata={"format": "pt"})
