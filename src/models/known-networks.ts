/** Networks that are recognised by a key of their weights, or by name, and that no architecture here computes. */
import type { Shapes } from "./family.ts";

/** A key pattern and what it tells, the most telling first. Names are those of torchvision, timm and transformers. */
const byKey: readonly (readonly [RegExp, string])[] = [
  [/(^|\.)stages\.0\.blocks\.0\.attn\.meta_mlp\.fc1\.weight$/, "timm's swinv2_cr"],
  [/(^|\.)layer1\.0\.se_module\.fc1\.weight$/, "timm's legacy_seresnet"],
  [/(^|\.)maxpool\.1\.running_mean$/, "timm's resnetrs"],
  [/(^|\.)layer1\.0\.conv2\.fc1\.weight$/, "timm's ResNeSt"],
  [/(^|\.)layer1\.0\.conv[12]\.paths\.0\.conv\.weight$/, "timm's SKNet"],
  [/(^|\.)layer1\.0\.convs\.0\.weight$/, "timm's Res2Net"],
  [/(^|\.)stage4\.0\.branches\.0\.0\.conv1\.weight$/, "timm's or the authors' HRNet"],
  [/(^|\.)blocks\.\d\.\d+\.attn\.key\.proj\.weight$/, "timm's mobilenetv4_hybrid"],
  [/(^|\.)blocks\.1\.0\.conv_pw\.0\.weight$/, "timm's MixNet"],
  [/(^|\.)blocks\.0\.0\.ghost1\.primary_conv\.0\.weight$/, "timm's GhostNet"],
  [/(^|\.)features\.0\.conv_dw\.conv\.weight$/, "timm's ReXNet"],
  [/(^|\.)features\.conv1_1\.conv\.weight$/, "timm's DPN"],
  [/(^|\.)features\.conv2\.weight$/, "timm's densenet with a deep stem or blur pooling"],
  [/(^|\.)features\.4\.branch0\.0\.conv\.weight$/, "timm's inception_v4"],
  [/(^|\.)mixed_5b\.branch0\.conv\.weight$/, "timm's inception_resnet_v2"],
  [/(^|\.)block1\.rep\.0\.pointwise\.weight$/, "timm's or Cadene's Xception"],
  [/(^|\.)blocks\.0\.stack\.conv1\.conv_dw\.weight$/, "timm's Xception"],
  [/(^|\.)level2\.tree1\.conv1\.weight$/, "timm's DLA"],
  [/(^|\.)stem\.conv1?\.gain$/, "timm's NFNet or NF-RegNet"],
  [/(^|\.)stages\.0\.blocks\.0\.fc1\.weight$/, "timm's MambaOut"],
  [/(^|\.)stages\.\d\.blocks\.0\.shortcut\.expand\.weight$/, "timm's CoAtNet"],
  [
    /(^|\.)stages\.\d\.blocks\.\d+\.(conv|attn_block)\..*$/,
    "timm's MaxViT of another kind than TensorFlow's, or MaxxViT",
  ],
  [/(^|\.)serial_blocks1\.0\..*$/, "timm's CoaT"],
  [/(^|\.)stages\.0\.0\.conv_(kxk|scale)\.(0\.)?conv\.weight$/, "timm's MobileOne or RepVGG"],
  [/(^|\.)token_mixer\.dwconv_hw\.weight$/, "timm's inception_next"],
  [/(^|\.)stages\.0\.blocks\.0\.token_mixer\.conv1\.c\.weight$/, "timm's RepViT"],
  [/(^|\.)stages\.0\.blocks\.0\.token_mixer\.norm\.identity\.weight$/, "timm's FastViT"],
  [/(^|\.)stages\.3\.1\.transformer\.0\.mlp\.fc\d\.weight$/, "timm's MobileViT"],
  [/(^|\.)stages\.\d\.blocks\.\d+\.xca\..*$/, "timm's EdgeNeXt"],
  [/(^|\.)stages\.\d\.blocks\.\d+\.main\.inverted_conv\.conv\.weight$/, "timm's EfficientViT of MIT"],
  [/(^|\.)stages\.0\.blocks\.0\.dw0\.m\.conv\.weight$/, "timm's EfficientViT of Microsoft"],
  [/(^|\.)stages\.\d\.\d+\.(self_attn|attn)\..*$/, "timm's RegNetZ, or a ResNet with attention of timm's byobnet"],
  [/(^|\.)stages\.0\.conv_exp\.conv\.weight$/, "timm's CSPNet"],
  [/(^|\.)stages\.0\.blocks\.0\.attn\.attention_biases$/, "timm's LeViT"],
  [/(^|\.)blocks_token_only\.0\..*$/, "timm's CaiT"],
  [/(^|\.)transformers\.0\.blocks\.0\.attn\.qkv\.weight$/, "timm's PiT"],
  [/(^|\.)patch_embeds\.0\.proj\.weight$/, "timm's Twins"],
  [/(^|\.)blocks\.0\.attn\.temperature$/, "timm's XCiT"],
  [/(^|\.)stages\.0\.blocks\.0\.mlp\.dwconv\.weight$/, "timm's PVT v2"],
  [/(^|\.)stages\.0\.blocks\.0\.layer_scale1\.scale$/, "timm's PoolFormer or MetaFormer"],
  [/(^|\.)stages\.0\.blocks\.0\.0\.cpe1\.proj\.weight$/, "timm's DaViT"],
  [/(^|\.)layers\.0\.blocks\.0\.modulation\.f\.weight$/, "timm's FocalNet"],
  [/(^|\.)stages\.0\.blocks\.0\.mhca\.group_conv3x3\.weight$/, "timm's NextViT"],
  [/(^|\.)network\.0\.0\.attn\.attn\.weight$/, "timm's VOLO"],
  [/(^|\.)pos_embed_0$/, "timm's CrossViT"],
  [/(^|\.)blocks\.0\.attn\.gating_param$/, "timm's ConViT"],
  [/(^|\.)stage1\.0\.mlp\.conv1\.weight$/, "timm's Visformer"],
  [/(^|\.)pixel_embed\.proj\.weight$/, "timm's TNT"],
  [/(^|\.)blocks\.0\.0\.fn\.0\.weight$/, "timm's ConvMixer"],
  [/(^|\.)stem\.stem(\.0|1)\.conv\.weight$/, "timm's HGNet"],
  [/(^|\.)blocks\.0\.attn\.rel_pos_h$/, "SAM's image encoder"],
  [/(^|\.)features\.0\.conv1\.0\.weight$/, "timm's SelecSLS"],
  [/(^|\.)body\.layer1\.0\.conv1\.conv\.weight$/, "timm's TResNet"],
  [/(^|\.)stages\.0\.1\.dwconv\.conv\.weight$/, "timm's StarNet"],
  [/(^|\.)blocks\.0\.mlp_tokens\.fc1\.weight$/, "timm's MLP-Mixer"],
  [/(^|\.)blocks\.0\.linear_tokens\.weight$/, "timm's ResMLP"],
  [/(^|\.)blocks\.0\.mlp_channels\.gate\.proj\.weight$/, "timm's gMLP"],
  [/(^|\.)blocks\.0\.attn\.relative_position_bias_table$/, "timm's BEiT"],
  [/(^|\.)blocks\.63\.attn\.q_bias$/, "timm's eva02_enormous, whose norms follow its branches"],
  [/(^|\.)blocks\.0\.attn\.(q_bias|q_proj\.weight)$/, "timm's ViT with rotary positions of another kind than EVA-02's"],
  [/(^|\.)blocks\.0\.gamma_1$/, "timm's ViT with rotary positions of another kind than DINOv3's"],
  [/(^|\.)blocks\.1\.proj\.weight$/, "timm's Hiera"],
  [/(^|\.)stages\.0\.blocks\.0\.norm3\.weight$/, "timm's resnetv2 of another kind than BiT's"],
  [/(^|\.)text_model\.encoder\.layers\.0\..*$/, "a text tower of CLIP or SigLIP"],
  [/(^|\.)down_blocks\.0\.resnets\.0\..*$/, "a diffusion model's U-Net or autoencoder"],
  [/(^|\.)model\.22\.dfl\.conv\.weight$/, "Ultralytics' YOLO"],
  [/(^|\.)encoder\.layer\.0\.attention\.self\.query\.weight$/, "a transformer for text, such as BERT"],
  [/(^|\.)layers\.0\.self_attn\.q_proj\.weight$/, "a language model"],
];

/** Names whose weights have the shapes of another network. */
const byName: readonly (readonly [RegExp, string])[] = [
  [/^(se|eca)?res(net|next)(aa|blur)/, "which averages where a plain ResNet has a stride"],
  [/^mobilenetv3_rw/, "whose norms and squeezing are not MobileNetV3's"],
  [/^hardcorenas_/, "whose activations its shapes do not tell"],
];

/** True when a network of this name would be taken for another one by its shapes. */
export function isDisguised(name: string): boolean {
  return byName.some(([pattern]) => pattern.test(name));
}

/** Name of the network that the weights are of, when it has no architecture here; undefined for unknown ones. */
export function recogniseNetwork(shapes: Shapes, name: string): string | undefined {
  const named = byName.find(([pattern]) => pattern.test(name));
  if (named) return `timm's ${name}, ${named[1]}`;
  const keys = [...shapes.keys()].filter((key) => key.length < 200);
  const has = (pattern: RegExp): boolean => keys.some((key) => pattern.test(key));
  const known = byKey.find(([pattern]) => has(pattern))?.[1];
  if (known !== undefined || !has(/(^|\.)bn\d?\.weight$/) || has(/\.running_mean$/)) return known;
  return 'a network without running statistics (they were not saved, or it has GroupNorm as timm\'s resnet50_gn, which --config \'{"norm":"group"}\' says)';
}
