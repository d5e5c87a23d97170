"""What the grades of Crowe and of Kellgren and Lawrence mean, in words for the people who give them."""

CROWE = {
    1: "subluxation of less than 50 % of the head, a displacement below 10 % of the pelvic height",
    2: "subluxation of 50-75 % of the head, 10-15 % of the pelvic height",
    3: "subluxation of 75-100 % of the head, 15-20 % of the pelvic height",
    4: "subluxation of more than 100 % of the head, more than 20 % of the pelvic height: dislocation",
}
"""Crowe grade to its definition. Source: Crowe, Mani and Ranawat 1979."""

KL = {
    0: "no osteoarthritis",
    1: "doubtful: possible narrowing of the joint space medially, possible osteophytes around the head",
    2: "minimal: definite narrowing of the joint space inferiorly, definite osteophytes, slight sclerosis",
    3: "moderate: marked narrowing, osteophytes, some sclerosis and cysts, deformity of head and acetabulum",
    4: "severe: gross loss of joint space, sclerosis and cysts, marked deformity, large osteophytes",
}
"""KL grade to its definition at the hip. Source: Kellgren and Lawrence 1957; Atlas of 1963."""

HOW_CROWE_IS_MEASURED = (
    "On the AP pelvis: the vertical distance from the line through both teardrops to the medial head-neck "
    "junction, over the height of the undeformed head, or over the height of the pelvis from iliac crest to "
    "ischial tuberosity, of which an undeformed head is about 20 %."
)

SOURCES = (
    "Crowe JF, Mani VJ, Ranawat CS. Total hip replacement in congenital dislocation and dysplasia of the "
    "hip. J Bone Joint Surg Am 1979;61:15-23.",
    "Kellgren JH, Lawrence JS. Radiological assessment of osteo-arthrosis. Ann Rheum Dis 1957;16:494-502. "
    "Wording for the hip: The Epidemiology of Chronic Rheumatism, vol. 2: Atlas of Standard Radiographs of "
    "Arthritis. Oxford: Blackwell, 1963.",
    "Centre-edge angle: Wiberg G. Studies on dysplastic acetabula and congenital subluxation of the hip "
    "joint. Acta Chir Scand 1939;83 Suppl 58.",
)
